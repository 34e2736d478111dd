/** Asks the browser not to evict this site's files. Only the main thread may ask, since some browsers show a prompt. */
export async function askToPersist(): Promise<boolean> {
  try {
    return (await navigator.storage.persisted()) || (await navigator.storage.persist());
  } catch {
    // A browser without this API decides by itself.
    return false;
  }
}
