/**
 * Where the stages of a pipeline stand: in layers from top to bottom, each below all it builds on. An edge that passes
 * a layer gets a lane of its own there, so that no line runs behind a stage. Pure: pixels in, pixels out.
 */
import { BASE_SLOT, type StageConfig } from "../../shared/protocol/config";
import { slotsOf } from "../../shared/protocol/pipeline-slots";

export const NODE_WIDTH = 162;
export const NODE_HEIGHT = 96;
export const BASE_HEIGHT = 34;
const LANE = 12;
const GAP_X = 14;
const GAP_Y = 40;

export interface Placed {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Edge {
  readonly from: string;
  readonly to: string;
  /** What flows: weights, or a reward model. */
  readonly kind: "model" | "reward";
  /** Points of the line from the lower side of `from` to the upper side of `to`. */
  readonly points: readonly (readonly [number, number])[];
}

export interface Layout {
  readonly nodes: readonly Placed[];
  readonly edges: readonly Edge[];
  readonly width: number;
  readonly height: number;
}

interface Item {
  readonly id: string;
  readonly layer: number;
  readonly width: number;
  readonly above: Item[];
  x: number;
}

interface Link {
  readonly from: string;
  readonly to: string;
  readonly kind: Edge["kind"];
}

/** The base (`BASE_SLOT`) is a node of its own where a stage builds on it. Slots that name nothing draw no line. */
export function layoutOf(stages: readonly StageConfig[]): Layout {
  const links = linksOf(stages);
  const layers = layersOf(stages, links);
  const items = new Map<string, Item>();
  for (const [id, layer] of layers) items.set(id, { id, layer, width: NODE_WIDTH, above: [], x: 0 });
  const lanes: Item[] = [];
  const paths = links.map((link) => {
    const path: Item[] = [];
    const [from, to] = [items.get(link.from), items.get(link.to)];
    if (from === undefined || to === undefined) return { link, path };
    path.push(from);
    for (let layer = from.layer + 1; layer < to.layer; layer++) {
      const lane: Item = { id: `${link.from}>${link.to}@${layer}`, layer, width: LANE, above: [], x: 0 };
      lanes.push(lane);
      path.push(lane);
    }
    path.push(to);
    for (const [i, item] of path.entries()) {
      const before = path[i - 1];
      if (before !== undefined) item.above.push(before);
    }
    return { link, path };
  });
  place([...items.values(), ...lanes]);

  const hasBase = items.has(BASE_SLOT);
  const top = (layer: number) =>
    hasBase
      ? layer === 0
        ? 0
        : BASE_HEIGHT + GAP_Y + (layer - 1) * (NODE_HEIGHT + GAP_Y)
      : layer * (NODE_HEIGHT + GAP_Y);
  const height = (item: Item) => (item.id === BASE_SLOT ? BASE_HEIGHT : NODE_HEIGHT);
  const nodes = [...items.values()].map(
    (item): Placed => ({ id: item.id, x: item.x, y: top(item.layer), width: item.width, height: height(item) }),
  );
  const edges = paths.flatMap(({ link, path }): Edge[] => {
    if (path.length === 0) return [];
    const points = path.flatMap((item, i): [number, number][] => {
      const centre = item.x + item.width / 2;
      if (i === 0) return [[port(item, path[1], nodesBelow(paths, item)), top(item.layer) + height(item)]];
      if (i === path.length - 1) return [[port(item, path[i - 1], item.above), top(item.layer)]];
      return [
        [centre, top(item.layer)],
        [centre, top(item.layer) + NODE_HEIGHT],
      ];
    });
    return [{ ...link, points }];
  });
  const bottom = Math.max(0, ...nodes.map((node) => node.y + node.height));
  const right = Math.max(0, ...[...items.values(), ...lanes].map((item) => item.x + item.width));
  return { nodes, edges, width: right, height: bottom };
}

function linksOf(stages: readonly StageConfig[]): Link[] {
  const known = new Set<string>([BASE_SLOT]);
  const links: Link[] = [];
  for (const stage of stages) {
    for (const { slot, value } of slotsOf(stage)) {
      const kind = slot.startsWith("reward_model") ? "reward" : "model";
      const same = links.some((link) => link.from === value && link.to === stage.id);
      if (known.has(value) && value !== stage.id && !same) links.push({ from: value, to: stage.id, kind });
    }
    known.add(stage.id);
  }
  return links;
}

/** Layer of every node, in the order of the stages; what builds on nothing known stands in the first row of stages. */
function layersOf(stages: readonly StageConfig[], links: readonly Link[]): Map<string, number> {
  const layers = new Map<string, number>();
  const hasBase = links.some(({ from }) => from === BASE_SLOT);
  if (hasBase) layers.set(BASE_SLOT, 0);
  for (const { id } of stages) {
    const below = links.filter(({ to }) => to === id).map(({ from }) => layers.get(from) ?? 0);
    layers.set(id, Math.max(hasBase ? 1 : 0, ...below.map((layer) => layer + 1)));
  }
  return layers;
}

/** Puts every item as near below the middle of what is above it as its neighbours let it. */
function place(items: readonly Item[]): void {
  const last = Math.max(0, ...items.map(({ layer }) => layer));
  const middle = (item: Item) => item.x + item.width / 2;
  for (let layer = 0; layer <= last; layer++) {
    const row = items.filter((item) => item.layer === layer);
    const wish = new Map(
      row.map((item, i) => {
        const centre =
          item.above.length === 0
            ? i * (NODE_WIDTH + GAP_X)
            : item.above.reduce((sum, other) => sum + middle(other), 0) / item.above.length;
        return [item, centre - item.width / 2];
      }),
    );
    // Where wishes are equal the order of the stages decides (sort is stable).
    row.sort((a, b) => (wish.get(a) ?? 0) - (wish.get(b) ?? 0));
    let edge = Number.NEGATIVE_INFINITY;
    let shift = 0;
    for (const item of row) {
      const wanted = wish.get(item) ?? 0;
      item.x = Math.max(wanted, edge);
      shift += item.x - wanted;
      edge = item.x + item.width + GAP_X;
    }
    // Neighbours pushed each other to the right: share the way.
    for (const item of row) item.x -= row.length === 0 ? 0 : shift / row.length;
  }
  const left = Math.min(0, ...items.map(({ x }) => x));
  const offset = Math.min(...items.map(({ x }) => x));
  for (const item of items) item.x -= Number.isFinite(offset) ? offset : left;
}

function nodesBelow(paths: readonly { readonly path: readonly Item[] }[], item: Item): Item[] {
  return paths.flatMap(({ path }) => (path[0] === item && path[1] !== undefined ? [path[1]] : []));
}

/** Where on a node's side the line to `other` ends: lines stand side by side, in the order of what they lead to. */
function port(item: Item, other: Item | undefined, all: readonly Item[]): number {
  const sorted = [...all].sort((a, b) => a.x + a.width / 2 - (b.x + b.width / 2));
  const place = other === undefined ? -1 : sorted.indexOf(other);
  return item.x + (item.width * (Math.max(0, place) + 1)) / (sorted.length + 1);
}

/** A line through points as an SVG path that leaves and arrives vertically. */
export function pathOf(points: Edge["points"]): string {
  return points
    .map(([x, y], i) => {
      const before = points[i - 1];
      if (before === undefined) return `M${x},${y}`;
      const [px, py] = before;
      if (px === x) return `L${x},${y}`;
      const middle = (py + y) / 2;
      return `C${px},${middle} ${x},${middle} ${x},${y}`;
    })
    .join("");
}
