/** Says clearly that Node is too old, instead of failing on the first thing it lacks. Written for any Node with modules. */
const NEEDED = [20, 19];
const [major, minor] = process.versions.node.split(".").map(Number);

if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  console.error(
    `nagi: Node ${NEEDED.join(".")} or newer is needed, this is ${process.versions.node}. Get it from nodejs.org.`,
  );
  console.error(
    `nagi: Node ${NEEDED.join(".")} 以降が必要です(いまは ${process.versions.node})。nodejs.org から入れてください。`,
  );
  process.exit(1);
}
