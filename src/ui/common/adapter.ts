import type { AdapterFacts } from "../../stores/environment";

/** A GPU adapter's name as far as the browser gives it away. */
export function adapterName(adapter: AdapterFacts): string {
  if (adapter.description !== "") return adapter.description;
  return [adapter.vendor, adapter.architecture].filter((part) => part !== "").join(" ") || "GPU";
}
