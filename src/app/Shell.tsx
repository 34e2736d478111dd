/** What surrounds every screen: the menu, the WebGPU notice, the place that takes the focus after a change of screen. */
import { AppShell, Burger, Group, NavLink } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import {
  IconBox,
  IconChartLine,
  IconDatabase,
  IconHome,
  IconListDetails,
  IconMessages,
  IconScale,
  IconServer,
  IconSettings,
  IconSitemap,
} from "@tabler/icons-react";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Link, Outlet, useLocation } from "react-router";
import { WebGpuBanner } from "../ui/support/WebGpuBanner";

const LINKS = [
  { to: "/", key: "home", icon: IconHome },
  { to: "/pipelines", key: "pipelines", icon: IconSitemap },
  { to: "/reward/new", key: "reward_new", icon: IconScale },
  { to: "/runs", key: "runs", icon: IconListDetails },
  { to: "/compare", key: "compare", icon: IconChartLine },
  { to: "/ratings", key: "ratings", icon: IconMessages },
  { to: "/data", key: "data", icon: IconDatabase },
  { to: "/models", key: "models", icon: IconBox },
  { to: "/workers", key: "workers", icon: IconServer },
  { to: "/settings", key: "settings", icon: IconSettings },
] as const;

export function Shell() {
  const { t } = useTranslation();
  const [opened, { toggle, close }] = useDisclosure();
  const { pathname } = useLocation();
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);

  useEffect(() => {
    // After a change of screen the keyboard and the screen reader start at its top; the first screen keeps the browser's start.
    if (first.current) first.current = false;
    else if (pathname !== "") main.current?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }, [pathname]);

  return (
    <AppShell
      header={{ height: { base: 52, sm: 0 } }}
      navbar={{ width: 216, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding={{ base: "md", sm: "xl" }}
    >
      <button type="button" className="ng-skip" onClick={() => main.current?.focus()}>
        {t("app.skip")}
      </button>
      <AppShell.Header hiddenFrom="sm" px="md">
        <Group h="100%" justify="space-between">
          <Brand />
          <Burger
            opened={opened}
            onClick={toggle}
            size="sm"
            aria-label={t(opened ? "app.close_menu" : "app.open_menu")}
            aria-expanded={opened}
          />
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="md" className="ng-nav" aria-label={t("app.main_navigation")}>
        <Group visibleFrom="sm" mb="lg" mt={4} px={6}>
          <Brand />
        </Group>
        {LINKS.map(({ to, key, icon: Icon }) => {
          const active = to === "/" ? pathname === "/" : pathname.startsWith(to);
          return (
            <NavLink
              key={to}
              component={Link}
              to={to}
              label={t(`nav.${key}`)}
              leftSection={<Icon size={18} stroke={1.6} aria-hidden />}
              active={active}
              aria-current={active ? "page" : undefined}
              onClick={close}
            />
          );
        })}
      </AppShell.Navbar>
      <AppShell.Main id="main" ref={main} tabIndex={-1} className="ng-main">
        <WebGpuBanner />
        <Outlet />
      </AppShell.Main>
    </AppShell>
  );
}

function Brand() {
  const { t } = useTranslation();
  return (
    <Link to="/" className="ng-brand" aria-label={`${t("app.name")}: ${t("nav.home")}`}>
      <img src={`${import.meta.env.BASE_URL}icons/nagi.svg`} width={26} height={26} alt="" />
      <span>
        {t("app.name")} <small lang="ja">凪</small>
      </span>
    </Link>
  );
}
