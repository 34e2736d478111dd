import { describe, expect, it } from "vitest";
import { BASE_SLOT, type StageConfig } from "../../shared/protocol/config";
import { defaultStage, TEMPLATES } from "../../shared/protocol/defaults";
import { type Layout, layoutOf, NODE_WIDTH, type Placed, pathOf } from "./layout";

const node = (layout: Layout, id: string): Placed => {
  const found = layout.nodes.find((candidate) => candidate.id === id);
  if (found === undefined) throw new Error(`no node ${id}`);
  return found;
};

const overlap = (a: Placed, b: Placed): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/** Every place where a line could be hidden: its points and what lies between two of them in one layer. */
const crossings = ({ edges, nodes }: Layout): string[] =>
  edges.flatMap(({ from, to, points }) =>
    points.slice(1).flatMap(([x, y], i) => {
      const [px, py] = points[i] ?? [x, y];
      return nodes
        .filter(({ id }) => id !== from && id !== to)
        .filter((n) => px === x && x > n.x && x < n.x + n.width && py <= n.y && y >= n.y + n.height)
        .map(({ id }) => `${from}>${to} behind ${id}`);
    }),
  );

describe("layoutOf", () => {
  it.each(Object.entries(TEMPLATES))("draws %s without overlaps, children below parents", (_, config) => {
    const stages: readonly StageConfig[] = config.stages;
    const layout = layoutOf(stages);
    expect(layout.nodes.map(({ id }) => id).sort()).toEqual([BASE_SLOT, ...stages.map(({ id }) => id)].sort());
    for (const [i, a] of layout.nodes.entries())
      for (const b of layout.nodes.slice(i + 1)) expect(overlap(a, b), `${a.id} ${b.id}`).toBe(false);
    for (const { from, to } of layout.edges) {
      const above = node(layout, from);
      expect(node(layout, to).y).toBeGreaterThan(above.y + above.height);
    }
    expect(crossings(layout)).toEqual([]);
    for (const { x, width } of layout.nodes) {
      expect(x).toBeGreaterThanOrEqual(0);
      expect(x + width).toBeLessThanOrEqual(layout.width + 1e-9);
    }
  });

  it("draws one line for two slots with the same stage, and tells weights from rewards", () => {
    const { edges } = layoutOf(TEMPLATES["positive-reviews"].stages);
    const into = (id: string) => edges.filter(({ to }) => to === id).map(({ from, kind }) => `${from} ${kind}`);
    expect(into("ppo").sort()).toEqual(["merge model", "reward reward"]);
    expect(into("evaluate").sort()).toEqual(["judge reward", "merge model", "ppo model", "reward reward"]);
  });

  it("leaves out lines to what is not there and to itself", () => {
    const stage = { ...defaultStage("reward", []), model: "nowhere" };
    const layout = layoutOf([stage as StageConfig]);
    expect(layout.edges).toEqual([]);
    expect(layout.nodes).toHaveLength(1);
    expect(layout.width).toBe(NODE_WIDTH);
    expect(layoutOf([]).nodes).toEqual([]);
  });
});

describe("pathOf", () => {
  it("goes straight where it can", () => {
    expect(
      pathOf([
        [5, 0],
        [5, 10],
        [9, 30],
      ]),
    ).toBe("M5,0L5,10C5,20 9,20 9,30");
  });
});
