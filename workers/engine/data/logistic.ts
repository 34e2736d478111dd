/**
 * Logistic regression with an L2 penalty: minimises C * sum log(1 + exp(-y z)) + |w|^2 / 2 over weights w and an
 * intercept that is not penalised, as scikit-learn's LogisticRegression(C). L-BFGS with a nearly exact line search.
 */
import type { SparseRows } from "./tfidf";

export interface LogisticModel {
  readonly weights: Float64Array;
  readonly intercept: number;
  readonly iterations: number;
  /** Whether the gradient became small enough within the allowed iterations. */
  readonly converged: boolean;
}

export interface LogisticOptions {
  /** Inverse strength of the penalty. */
  readonly C: number;
  readonly maxIterations: number;
  /**
   * Euclidean length of the gradient to stop at. The objective curves by at least 1 in every weight, so weights end
   * within this distance of the optimum, and decision values of texts of length 1 too.
   */
  readonly tolerance: number;
  /** Awaited after every iteration. */
  readonly pause: () => Promise<void>;
}

const HISTORY = 10;

/** z[r] = rows[r] . direction, plus the intercept in the last element of `direction`. */
function multiply(rows: SparseRows, direction: Float64Array, z: Float64Array): void {
  const { starts, indices, values } = rows;
  const intercept = direction[rows.columns] ?? 0;
  for (let row = 0; row < rows.rows; row++) {
    let sum = intercept;
    const end = starts[row + 1] ?? 0;
    for (let i = starts[row] ?? 0; i < end; i++) sum += (values[i] ?? 0) * (direction[indices[i] ?? 0] ?? 0);
    z[row] = sum;
  }
}

/** Margins of rows under a model. */
export function decisionValues(model: LogisticModel, rows: SparseRows): Float64Array {
  const direction = new Float64Array(rows.columns + 1);
  direction.set(model.weights);
  direction[rows.columns] = model.intercept;
  const z = new Float64Array(rows.rows);
  multiply(rows, direction, z);
  return z;
}

function dot(a: Float64Array, b: Float64Array, length = a.length): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function addScaled(target: Float64Array, scale: number, source: Float64Array): void {
  for (let i = 0; i < target.length; i++) target[i] = (target[i] ?? 0) + scale * (source[i] ?? 0);
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** The gradient at margins z and parameters p (the last one is the intercept). */
function gradientAt(
  rows: SparseRows,
  labels: Uint8Array,
  C: number,
  z: Float64Array,
  parameters: Float64Array,
): Float64Array {
  const gradient = parameters.slice();
  gradient[rows.columns] = 0;
  const { starts, indices, values } = rows;
  for (let row = 0; row < rows.rows; row++) {
    const residual = C * (sigmoid(z[row] ?? 0) - (labels[row] ?? 0));
    const end = starts[row + 1] ?? 0;
    for (let i = starts[row] ?? 0; i < end; i++) {
      const column = indices[i] ?? 0;
      gradient[column] = (gradient[column] ?? 0) + residual * (values[i] ?? 0);
    }
    gradient[rows.columns] = (gradient[rows.columns] ?? 0) + residual;
  }
  return gradient;
}

interface Pair {
  readonly step: Float64Array;
  readonly change: Float64Array;
  readonly curvature: number;
}

/** The two-loop recursion: minus an estimate of the inverse Hessian, times the gradient. */
function descentDirection(gradient: Float64Array, history: readonly Pair[]): Float64Array {
  const direction = gradient.map((value) => -value);
  const factors: number[] = [];
  for (const { step, change, curvature } of history.toReversed()) {
    const factor = dot(step, direction) / curvature;
    factors.push(factor);
    addScaled(direction, -factor, change);
  }
  const last = history.at(-1);
  if (last) {
    const scale = last.curvature / dot(last.change, last.change);
    for (let i = 0; i < direction.length; i++) direction[i] = (direction[i] ?? 0) * scale;
  }
  for (const { step, change, curvature } of history) {
    const factor = factors.pop() ?? 0;
    addScaled(direction, factor - dot(change, direction) / curvature, step);
  }
  return direction;
}

/**
 * The step along a direction at which the objective's slope is a tenth of what it was: Newton's method on a convex
 * function of one variable, kept inside a bracket. Needs only the margins, not the rows.
 */
function lineSearch(
  z: Float64Array,
  zDirection: Float64Array,
  labels: Uint8Array,
  C: number,
  penaltySlope: number,
  penaltyCurvature: number,
): number {
  const derivatives = (step: number): [number, number] => {
    let slope = penaltySlope + step * penaltyCurvature;
    let curvature = penaltyCurvature;
    for (let row = 0; row < z.length; row++) {
      const change = zDirection[row] ?? 0;
      const probability = sigmoid((z[row] ?? 0) + step * change);
      slope += C * (probability - (labels[row] ?? 0)) * change;
      curvature += C * probability * (1 - probability) * change * change;
    }
    return [slope, curvature];
  };
  const [initialSlope, initialCurvature] = derivatives(0);
  let low = 0;
  let high = Number.POSITIVE_INFINITY;
  let step = Math.min(1, -initialSlope / initialCurvature);
  for (let tries = 0; tries < 50; tries++) {
    const [slope, curvature] = derivatives(step);
    if (Math.abs(slope) <= 0.1 * Math.abs(initialSlope)) break;
    if (slope < 0) low = step;
    else high = step;
    const newton = step - slope / curvature;
    if (newton > low && newton < high) step = newton;
    else step = high === Number.POSITIVE_INFINITY ? 2 * step : (low + high) / 2;
  }
  return step;
}

/** Fits labels (1 or 0) to rows of length at most 1. Both labels must occur. */
export async function fitLogistic(
  rows: SparseRows,
  labels: Uint8Array,
  options: LogisticOptions,
): Promise<LogisticModel> {
  const { C, maxIterations, tolerance, pause } = options;
  const size = rows.columns + 1;
  const parameters = new Float64Array(size);
  const z = new Float64Array(rows.rows);
  const zDirection = new Float64Array(rows.rows);
  const history: Pair[] = [];
  let gradient = gradientAt(rows, labels, C, z, parameters);
  let iterations = 0;
  let converged = Math.sqrt(dot(gradient, gradient)) <= tolerance;
  while (!converged && iterations < maxIterations) {
    const direction = descentDirection(gradient, history);
    multiply(rows, direction, zDirection);
    const penaltySlope = dot(parameters, direction, rows.columns);
    const penaltyCurvature = dot(direction, direction, rows.columns);
    const length = lineSearch(z, zDirection, labels, C, penaltySlope, penaltyCurvature);
    addScaled(parameters, length, direction);
    addScaled(z, length, zDirection);
    const next = gradientAt(rows, labels, C, z, parameters);
    const step = direction.map((value) => value * length);
    const change = next.map((value, i) => value - (gradient[i] ?? 0));
    const curvature = dot(step, change);
    // The objective is convex, so this fails only where rounding ate the step.
    if (!(curvature > 0)) break;
    history.push({ step, change, curvature });
    if (history.length > HISTORY) history.shift();
    gradient = next;
    iterations++;
    converged = Math.sqrt(dot(gradient, gradient)) <= tolerance;
    await pause();
  }
  return {
    weights: parameters.slice(0, rows.columns),
    intercept: parameters[rows.columns] ?? 0,
    iterations,
    converged,
  };
}
