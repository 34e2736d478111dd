/** Asks the browser not to evict this site's files. Only the main thread may ask, since some browsers show a prompt. */
export async function askToPersist(): Promise<boolean> {
  if (typeof navigator.storage?.persist !== "function") return false;
  try {
    return (await navigator.storage.persisted()) || (await navigator.storage.persist());
  } catch {
    return false;
  }
}
