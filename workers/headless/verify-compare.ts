/** Deviations from expected tensors and the tolerances of section 4 of the design. NaN never passes. */

/** The worst deviations of a group of tensors. Not finite: null in JSON. */
export interface GroupResult {
  /** Largest absolute difference of any element. */
  absolute: number;
  /** Largest L2 norm of a difference relative to the expected tensor's. */
  relative_l2: number;
  /** The tensor furthest from its tolerance. */
  tensor: string;
  pass: boolean;
}

export type Group = "loss" | "logits" | "scores" | "grads" | "trajectory" | "merged";

interface Deviation {
  readonly absolute: number;
  readonly relative_l2: number;
  /** Largest elementwise |difference| / |expected|; where the expectation is 0, the difference itself. */
  readonly relative: number;
  /** Largest elementwise |difference| / max(1, |expected|). */
  readonly mixed: number;
}

const TOLERANCE: Readonly<Record<Group, { readonly by: keyof Deviation; readonly limit: number }>> = {
  loss: { by: "relative", limit: 1e-5 },
  logits: { by: "absolute", limit: 2e-4 },
  scores: { by: "absolute", limit: 2e-4 },
  grads: { by: "relative_l2", limit: 1e-3 },
  trajectory: { by: "relative", limit: 1e-3 },
  merged: { by: "mixed", limit: 1e-5 },
};

/** The larger of the two; NaN wins. */
const worse = (a: number, b: number): number => (a >= b || Number.isNaN(a) ? a : b);

/**
 * A tensor whose norm is below this share of the whole group's is zero but for rounding (the bias of the last layer norm
 * under the pairwise objective, whose contributions cancel): nothing is relative to it.
 */
const ZERO = 1e-5;
/** Differences from such a tensor count relative to this share of the group's norm: rounding passes, a gradient does not. */
const ZERO_BASE = 1e-3;

/**
 * How far `ours` is from `expected`, of equal length.
 * @param scale L2 norm of the whole group, 0 where tensors stand for themselves.
 */
export function deviation(ours: ArrayLike<number>, expected: ArrayLike<number>, scale = 0): Deviation {
  let absolute = 0;
  let relative = 0;
  let mixed = 0;
  let differences = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    const [e, o] = [expected[i] ?? Number.NaN, ours[i] ?? Number.NaN];
    // Equal infinities must not pass either.
    const difference = Number.isFinite(e) ? Math.abs(o - e) : Number.NaN;
    absolute = worse(absolute, difference);
    relative = worse(relative, e === 0 ? difference : difference / Math.abs(e));
    mixed = worse(mixed, difference / Math.max(1, Math.abs(e)));
    differences += difference * difference;
    norm += e * e;
  }
  const base = Math.sqrt(norm) < ZERO * scale ? ZERO_BASE * scale : Math.sqrt(norm);
  return { absolute, relative, mixed, relative_l2: differences === 0 ? 0 : Math.sqrt(differences) / base };
}

export interface Comparison {
  readonly name: string;
  readonly ours: ArrayLike<number> | undefined;
  readonly expected: ArrayLike<number>;
}

/** Compares the tensors of one group; one that we do not have, or of another size, fails. */
export function compareGroup(group: Group, tensors: readonly Comparison[], scale = 0): GroupResult {
  const { by, limit } = TOLERANCE[group];
  const result: GroupResult = { absolute: 0, relative_l2: 0, tensor: "", pass: tensors.length > 0 };
  let worst = -1;
  for (const { name, ours, expected } of tensors) {
    const comparable = ours !== undefined && ours.length === expected.length;
    const missing = { absolute: Number.NaN, relative: Number.NaN, mixed: Number.NaN, relative_l2: Number.NaN };
    const found = comparable ? deviation(ours, expected, scale) : missing;
    result.absolute = worse(result.absolute, found.absolute);
    result.relative_l2 = worse(result.relative_l2, found.relative_l2);
    if (!(found[by] <= limit)) result.pass = false;
    if (worst === -1 || worse(worst, found[by]) !== worst) {
      worst = found[by];
      result.tensor = name;
    }
  }
  return result;
}
