/** What JSON.parse hides: it silently keeps the last of two equal keys. */

/**
 * The first key that occurs twice in one object of `text`, or null. `text` must already have passed JSON.parse.
 * Objects deeper than `maxDepth` (the outermost one has depth 1) are not looked at.
 */
export function findDuplicateKey(text: string, maxDepth = 2): string | null {
  const keys: (Set<string> | null)[] = [];
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === "{") keys.push(keys.length < maxDepth ? new Set() : null);
    else if (character === "[") keys.push(null);
    else if (character === "}" || character === "]") keys.pop();
    else if (character === '"') {
      const start = i++;
      while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      const seen = keys.at(-1);
      if (!seen) continue;
      let next = i + 1;
      while (/\s/.test(text[next] ?? "")) next++;
      if (text[next] !== ":") continue;
      const key: unknown = JSON.parse(text.slice(start, i + 1));
      if (typeof key !== "string") continue;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return null;
}
