/** One line on top of every screen where WebGPU is missing. */
import { Anchor } from "@mantine/core";
import { useTranslation } from "react-i18next";
import { Link, useLocation } from "react-router";
import { useEnvironment } from "../../stores/environment";
import "./support.css";

export function WebGpuBanner() {
  const { t } = useTranslation();
  const webgpu = useEnvironment((state) => state.webgpu);
  const { pathname } = useLocation();
  if (webgpu === "available" || webgpu === "unknown" || pathname === "/webgpu") return null;
  return (
    <div className="ng-notice ng-banner" data-tone="warn" role="status">
      {t("support.banner")}{" "}
      <Anchor component={Link} to="/webgpu" size="sm" underline="always">
        {t("support.banner_link")}
      </Anchor>
    </div>
  );
}
