/** Running totals of everything that costs time or memory; tests assert that a warm step adds only dispatches. */
export interface Counters {
  dispatches: number;
  submits: number;
  /** Buffers created so far (never decreases), staging and uniform pages included. */
  buffers: number;
  bindGroups: number;
  pipelines: number;
  /** Bytes of buffers alive now. */
  bytes: number;
  readbacks: number;
}

export const noCounts = (): Counters => ({
  dispatches: 0,
  submits: 0,
  buffers: 0,
  bindGroups: 0,
  pipelines: 0,
  bytes: 0,
  readbacks: 0,
});
