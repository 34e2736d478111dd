/**
 * What a stage will need, before anything of it is allocated: the engine's own code creates trainers, generators and
 * reward models on a device that only counts (gpu/dry-device.ts), so every buffer has its real label and size.
 */
import { NagiError } from "../../../src/shared/errors";
import type { StageConfig } from "../../../src/shared/protocol/config";
import {
  PREFLIGHT_PARTS,
  type PreflightBuffer,
  type PreflightPart,
  type PreflightProblem,
  type StagePreflight,
} from "../../../src/shared/protocol/preflight";
import { describeAdapter } from "../gpu/capabilities";
import type { AdapterProfile } from "../gpu/device";
import { type CountedBuffer, type DryGpu, openDryGpu } from "../gpu/dry-device";
import { stateBytes } from "../model/generate";
import { diskNeeds, storageNeeded } from "./disk-needs";
import { Generator } from "./generator";
import { type Moment, type Need, needsOf, type StageSizes } from "./stage-needs";
import type { StageShapes } from "./stage-shapes";
import { type CountedWork, stepFlops, sumWork } from "./step-work";
import { Trainer } from "./trainer";

export interface MachineFacts {
  readonly profile: AdapterProfile;
  readonly memory: StagePreflight["memory"];
  readonly storage_free: number | null;
  /** What the benchmark measured on this adapter: work of a training step, and how long it took. */
  readonly measured: { readonly flops: number; readonly milliseconds: number; readonly at: number } | null;
}

export interface PreflightInput {
  readonly stage: StageConfig;
  readonly shapes: StageShapes;
  readonly seed: number;
  readonly sizes?: StageSizes;
}

/** What one need came to. */
export interface CountedNeed {
  readonly kind: Need["kind"];
  /** As the engine's own accounting says once it is created. */
  readonly bytes: number;
  readonly work: CountedWork;
}

export interface CountedMoment {
  readonly bytes: number;
  readonly buffers: readonly PreflightBuffer[];
  readonly needs: readonly CountedNeed[];
  readonly largest_binding: CountedBuffer;
}

/** To say what would be needed where a limit is in the way: bindings as large as a kernel counts elements in 32 bits. */
const LARGEST_BINDING = 2 ** 33;
const BOUNDLESS = 2 ** 50;

/** Creates what is together at a moment, on a device that counts. @throws NagiError gpu.limit, config.invalid */
export async function countMoment(moment: Moment, profile: AdapterProfile): Promise<CountedMoment> {
  const dry = openDryGpu(profile);
  const buffers: PreflightBuffer[] = [];
  const needs: CountedNeed[] = [];
  const names = new Map<string, number>();
  const named = ({ kind }: Need, { label }: CountedBuffer): string => {
    const owned = kind === "trainer" ? label : `${label} (${kind})`;
    const count = (names.get(owned) ?? 0) + 1;
    names.set(owned, count);
    return count === 1 ? owned : `${owned} #${count}`;
  };
  let trainer: Trainer | undefined;
  for (const need of moment) {
    const known = new Set(dry.live);
    const made = await create(dry, need, trainer);
    if (made instanceof Trainer && need.kind === "trainer") trainer = made;
    for (const buffer of dry.live)
      if (!known.has(buffer)) buffers.push({ ...buffer, label: named(need, buffer), part: partOf(need, buffer.label) });
    needs.push({
      kind: need.kind,
      bytes: made instanceof Trainer ? made.memory.bytes : made.bytes,
      work: {
        tokens: need.kind === "generator" ? need.options.max_texts : need.options.max_tokens,
        flops: sumWork(made.stepDispatches),
      },
    });
  }
  return {
    bytes: buffers.reduce((sum, { bytes }) => sum + bytes, 0),
    buffers,
    needs,
    largest_binding: dry.largestBinding,
  };
}

function create({ gpu }: DryGpu, need: Need, trainer: Trainer | undefined): Promise<Trainer | Generator> {
  if (need.kind !== "generator") return Trainer.create(gpu, need.config, null, need.options);
  if (!trainer) throw new Error("a generator writes with the weights of a trainer");
  return Generator.create(gpu, need.config, trainer.store, need.options);
}

/** What a buffer is for, by who made it and by its label. */
function partOf(need: Need, label: string): PreflightPart {
  if (label.startsWith("uniforms")) return "other";
  if (need.kind === "reward_model") return "reward_model";
  if (need.kind === "generator") return stateBytes(need.config, need.options).has(label) ? "cache" : "activations";
  const [kind] = label.split(" ");
  if (kind === "weights" || kind === "gradients") return kind;
  if (kind === "exp_avg" || kind === "exp_avg_sq" || label.startsWith("optimizer")) return "optimizer";
  return kind === "activations" ? "activations" : "other";
}

/** All moments, with a problem in place of what a limit is in the way of. */
export async function countStage(
  { stage, shapes, seed, sizes }: PreflightInput,
  profile: AdapterProfile,
): Promise<{ readonly moments: readonly CountedMoment[]; readonly problems: readonly PreflightProblem[] }> {
  const needs = needsOf(stage, shapes, seed, sizes);
  const moments: CountedMoment[] = [];
  const problems: PreflightProblem[] = [];
  for (const moment of needs) {
    try {
      moments.push(await countMoment(moment, profile));
    } catch (error) {
      if (!(error instanceof NagiError) || error.code !== "gpu.limit") throw error;
      const { what, needed, granted } = error.details;
      problems.push({
        kind: "limit",
        what: String(what),
        needed: Number(needed),
        granted: Number(granted),
        refuses: true,
      });
      const counted = await countMoment(moment, withoutLimits(profile)).catch(() => {
        // Larger than anything can be addressed: then the limit itself is all there is to say.
        throw error;
      });
      moments.push(counted);
    }
  }
  return { moments, problems };
}

function withoutLimits({ limits, ...rest }: AdapterProfile): AdapterProfile {
  const {
    maxBufferSize: _,
    maxStorageBufferBindingSize: __,
    maxComputeWorkgroupsPerDimension: ___,
    ...others
  } = limits;
  const raised = {
    maxBufferSize: BOUNDLESS,
    maxStorageBufferBindingSize: LARGEST_BINDING,
    maxComputeWorkgroupsPerDimension: BOUNDLESS,
  };
  return { ...rest, limits: { ...others, ...raised } };
}

/** The figures of a stage, and all that stands in its way. Offers are left to `offersFor`. @throws config.invalid */
export async function preflightStage(
  input: PreflightInput,
  { profile, memory, storage_free, measured }: MachineFacts,
): Promise<Omit<StagePreflight, "offers">> {
  const { stage, shapes } = input;
  const { moments, problems: limits } = await countStage(input, profile);
  const peak = moments.reduce((most, one) => (one.bytes > most.bytes ? one : most));
  const problems: PreflightProblem[] = [...limits];
  if (memory !== null && !(peak.bytes <= memory.bytes)) {
    const refuses = memory.source === "system";
    problems.push({ kind: "memory", what: "memory", needed: peak.bytes, granted: memory.bytes, refuses });
  }
  const disk = diskNeeds(stage, shapes);
  const stored = storageNeeded(disk);
  if (storage_free !== null && !(stored <= storage_free))
    problems.push({ kind: "storage", what: "storage", needed: stored, granted: storage_free, refuses: true });
  const flops = stepFlops(stage, moments[0]?.needs.map(({ kind, work }) => ({ kind, ...work })) ?? []);
  const buffers = [...peak.buffers].sort((a, b) => b.bytes - a.bytes);
  const largest = <T extends CountedBuffer>(list: readonly T[]): CountedBuffer =>
    list.reduce((most, one) => (one.bytes > most.bytes ? one : most), { label: "", bytes: 0 });
  const { label, bytes } = largest(moments.flatMap((moment) => moment.buffers));
  return {
    stage: stage.id,
    fits: problems.every(({ refuses }) => !refuses),
    adapter: describeAdapter(profile.info),
    total_bytes: peak.bytes,
    parts: PREFLIGHT_PARTS.map((part) => ({
      part,
      bytes: buffers.reduce((sum, buffer) => sum + (buffer.part === part ? buffer.bytes : 0), 0),
    })).filter((one) => one.bytes > 0),
    buffers,
    largest_buffer: { label, bytes },
    largest_binding: largest(moments.map((moment) => moment.largest_binding)),
    limits: {
      maxBufferSize: profile.limits.maxBufferSize,
      maxStorageBufferBindingSize: profile.limits.maxStorageBufferBindingSize,
    },
    memory,
    ...disk,
    storage_free,
    step:
      flops === null
        ? null
        : {
            flops,
            milliseconds: measured === null ? null : (flops * measured.milliseconds) / measured.flops,
            measured_at: measured?.at ?? null,
          },
    problems: problems.sort((a, b) => b.needed / b.granted - a.needed / a.granted),
  };
}
