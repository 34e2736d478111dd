/**
 * Where every parameter lies before anything is allocated: one arena a group of parameters that are trained or frozen
 * alike and stored alike, split where a binding would be too large. Pure, so that a preflight can ask it.
 */

import { NagiError } from "../../../src/shared/errors";
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
}

export interface ParameterPlace extends Required<ParameterSpec> {
  readonly group: number;
  /** Bytes of the weights from the start of the group's arena (gradients and moments: the same, they are f32 alike). */
  readonly offset: number;
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
   * @throws NagiError gpu.limit {what, needed, granted} (bytes) where one parameter is larger than a binding may be.
   */
  static of(specs: readonly ParameterSpec[], largestBinding: number, lora?: LoraOptions): ParameterLayout {
    const granted = Math.floor(largestBinding / 256) * 256;
    const groups: { trainable: boolean; element: ParameterElement; bytes: number }[] = [];
    const places = new Map<string, ParameterPlace>();
    for (const spec of specs) {
      const { name, shape, trainable, element = "f32" } = spec;
      if (trainable && element !== "f32") throw new Error(`parameter ${name} is trained: it must be f32`);
      const bytes = alignUp(BYTES[element] * shapeSize(shape));
      if (bytes > granted)
        throw new NagiError(
          "gpu.limit",
          `tensor ${name} needs ${bytes} bytes, the adapter binds at most ${granted} (maxStorageBufferBindingSize): ` +
            "use a smaller model or another adapter",
          { what: name, needed: bytes, granted },
        );
      const fits = (one: ParameterGroup) =>
        one.trainable === trainable && one.element === element && one.bytes + bytes <= granted;
      let group = groups.findIndex(fits);
      if (group < 0) group = groups.push({ trainable, element, bytes: 0 }) - 1;
      const home = groups[group];
      if (!home) throw new Error("no group");
      places.set(name, { name, shape, trainable, element, group, offset: home.bytes });
      home.bytes += bytes;
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

  /** Bytes of the tensor as it is stored, padding left out. */
  bytes(name: string): number {
    const { element, shape } = this.place(name);
    return BYTES[element] * shapeSize(shape);
  }

  /** @throws NagiError model.tensor_missing */
  place(name: string): ParameterPlace {
    const place = this.places.get(name);
    if (!place)
      throw new NagiError("model.tensor_missing", `the model has no tensor ${name}`, { file: "model", tensor: name });
    return place;
  }
}
