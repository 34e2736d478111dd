/** A screen without the menu: for raters. */
import { Outlet } from "react-router";

export function Bare() {
  return (
    <main className="ng-bare" id="main">
      <Outlet />
    </main>
  );
}
