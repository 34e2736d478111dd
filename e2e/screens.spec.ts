/** Every screen as a new user finds it. */
import { expectAccessible, open, test } from "./studio";

const SCREENS = [
  "/",
  "/pipelines",
  "/pipelines/new?template=positive-reviews",
  "/pipelines/new?template=dpo-from-votes",
  "/compare",
  "/reward/new",
  "/runs",
  "/data",
  "/models",
  "/workers",
  "/settings",
  "/settings/benchmark",
  "/webgpu",
];

test("every screen of a fresh profile is accessible in light and dark", async ({ page }) => {
  for (const route of SCREENS) {
    await open(page, route);
    await page.waitForLoadState("networkidle");
    await expectAccessible(page, route);
  }
});
