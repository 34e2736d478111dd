/**
 * Where every parameter lies before anything is allocated: one arena a group of parameters that are trained or frozen
 * alike and stored alike, split where a binding would be too large. A matrix with one row a vocabulary entry may itself be
 * larger than a binding: it is stored in parts, whole rows each. Pure, so that a preflight can ask it.
 */

import { NagiError } from "../../../src/shared/errors";
import { vocabularyPart } from "../ops/vocabulary-chunks";
import { alignUp } from "../plan/memory";
import { shapeSize } from "../plan/record";
import type { LoraOptions } from "./lora";
import type { ParameterInfo } from "./neox";

export type ParameterElement = "f32" | "f16";

export interface ParameterSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Frozen parameters have neither gradient nor moments. */
  readonly trainable: boolean;
  /** How the weights are stored; f16 only where frozen. Default f32. */
  readonly element?: ParameterElement;
  /** Its rows are vocabulary entries: where it is larger than a binding it may be stored in parts. Default false. */
  readonly vocabulary?: boolean;
}

/** A range of a parameter's elements, and where it is. */
export interface ParameterPart {
  readonly group: number;
  /** Bytes of the weights from the start of the group's arena (gradients and moments: the same, they are f32 alike). */
  readonly offset: number;
  readonly first: number;
  readonly count: number;
}

export interface ParameterPlace extends Required<ParameterSpec> {
  /** Rows of each part but the last; undefined: it is in one piece. */
  readonly partRows: number | undefined;
  /** In the order of the rows, one where it is in one piece. */
  readonly parts: readonly ParameterPart[];
}

export interface ParameterGroup {
  readonly trainable: boolean;
  readonly element: ParameterElement;
  /** Bytes of the weights. */
  readonly bytes: number;
}

const BYTES: Readonly<Record<ParameterElement, number>> = { f32: 4, f16: 2 };

export class ParameterLayout implements ParameterInfo {
  private constructor(
    readonly places: ReadonlyMap<string, ParameterPlace>,
    readonly groups: readonly ParameterGroup[],
    readonly lora: LoraOptions | undefined,
  ) {}

  /**
   * @param largestBinding bytes of the largest arena.
   * @throws NagiError gpu.limit {what, needed, granted} (bytes) where a parameter is larger than a binding may be and
   * cannot be stored in parts.
   */
  static of(specs: readonly ParameterSpec[], largestBinding: number, lora?: LoraOptions): ParameterLayout {
    const granted = Math.floor(largestBinding / 256) * 256;
    const groups: { trainable: boolean; element: ParameterElement; bytes: number }[] = [];
    const place = (trainable: boolean, element: ParameterElement, bytes: number) => {
      const fits = (one: ParameterGroup) =>
        one.trainable === trainable && one.element === element && one.bytes + bytes <= granted;
      let group = groups.findIndex(fits);
      if (group < 0) group = groups.push({ trainable, element, bytes: 0 }) - 1;
      const home = groups[group];
      if (!home) throw new Error("no group");
      const offset = home.bytes;
      home.bytes += bytes;
      return { group, offset };
    };
    const places = new Map<string, ParameterPlace>();
    for (const spec of specs) {
      const { name, shape, trainable, element = "f32", vocabulary = false } = spec;
      if (trainable && element !== "f32") throw new Error(`parameter ${name} is trained: it must be f32`);
      const size = shapeSize(shape);
      const partRows = rowsOfParts(spec, granted);
      const length = partRows === undefined ? size : partRows * shapeSize(shape.slice(1));
      const parts = Array.from({ length: Math.ceil(size / length) }, (_, index): ParameterPart => {
        const first = index * length;
        const count = Math.min(length, size - first);
        return { ...place(trainable, element, alignUp(BYTES[element] * count)), first, count };
      });
      places.set(name, { name, shape, trainable, element, vocabulary, partRows, parts });
    }
    return new ParameterLayout(places, groups, lora);
  }

  has(name: string): boolean {
    return this.places.has(name);
  }

  shape(name: string): readonly number[] {
    return this.place(name).shape;
  }

  trainable(name: string): boolean {
    return this.place(name).trainable;
  }

  element(name: string): ParameterElement {
    return this.place(name).element;
  }

  partRows(name: string): number | undefined {
    return this.place(name).partRows;
  }

  /** @throws NagiError model.tensor_missing */
  place(name: string): ParameterPlace {
    const place = this.places.get(name);
    if (!place)
      throw new NagiError("model.tensor_missing", `the model has no tensor ${name}`, { file: "model", tensor: name });
    return place;
  }
}

/** Bytes of `count` elements as they are stored, padding left out. */
export const storedBytes = (element: ParameterElement, count: number): number => BYTES[element] * count;

/** Rows of the parts that a parameter must be stored in; undefined where one binding holds it. @throws NagiError gpu.limit */
function rowsOfParts({ name, shape, element = "f32", vocabulary }: ParameterSpec, granted: number): number | undefined {
  const bytes = alignUp(storedBytes(element, shapeSize(shape)));
  if (bytes <= granted) return undefined;
  const [rows = 0, ...row] = shape;
  const most = Math.floor(granted / storedBytes(element, shapeSize(row)));
  const part = vocabulary ? vocabularyPart(rows, most) : undefined;
  if (part !== undefined) return part;
  throw new NagiError(
    "gpu.limit",
    `tensor ${name} needs ${bytes} bytes, the adapter binds at most ${granted} (maxStorageBufferBindingSize): ` +
      "use a smaller model or another adapter",
    { what: name, needed: bytes, granted },
  );
}
