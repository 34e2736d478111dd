/** The preflight of one stage of a pipeline that runs in this browser. */
import type { RunConfig } from "../../shared/protocol/config";
import { useEnvironment } from "../../stores/environment";
import type { PreflightOffer } from "../../stores/preflight";
import { PreflightView } from "./PreflightView";
import { usePreflight } from "./use-preflight";

export interface StagePreflightProps {
  /** null while a field is wrong. */
  readonly config: RunConfig | null;
  readonly stage: string;
  readonly onApply?: (changes: PreflightOffer["changes"]) => void;
}

export function StagePreflight({ config, stage, onApply }: StagePreflightProps) {
  const available = useEnvironment((state) => state.webgpu === "available");
  const state = usePreflight(available ? config : null, stage);
  return available ? <PreflightView state={state} {...(onApply ? { onApply } : {})} /> : null;
}
