/**
 * Lends Dawn's adapter to other WebGPU libraries in Node, as a browser's `navigator.gpu`, and counts what each does with
 * it. Everything is measured the same way for us and for them: by the calls that reach the device.
 */

export class DeviceMeter {
  dispatches = 0;
  submits = 0;
  /** Of buffers alive now. */
  bytes = 0;
  /** Most bytes alive at once since the last reset. */
  peak = 0;

  /** Counts anew from here; buffers that are alive stay counted. */
  reset(): void {
    this.dispatches = 0;
    this.submits = 0;
    this.peak = this.bytes;
  }

  watch(device: GPUDevice): void {
    this.buffers(device);
    this.commands(device);
  }

  private buffers(device: GPUDevice): void {
    const create = device.createBuffer.bind(device);
    device.createBuffer = (descriptor) => {
      const buffer = create(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      let alive = true;
      this.bytes += buffer.size;
      this.peak = Math.max(this.peak, this.bytes);
      buffer.destroy = () => {
        if (alive) this.bytes -= buffer.size;
        alive = false;
        return destroy();
      };
      return buffer;
    };
  }

  private commands(device: GPUDevice): void {
    const { queue } = device;
    const submit = queue.submit.bind(queue);
    queue.submit = (buffers) => {
      this.submits += 1;
      return submit(buffers);
    };
    const write = queue.writeBuffer.bind(queue);
    // Dawn's binding for Node refuses views of shared memory, which is what onnxruntime-web's threads write from.
    queue.writeBuffer = (buffer, offset, data, first, size) =>
      ArrayBuffer.isView(data) && !(data.buffer instanceof ArrayBuffer)
        ? write(buffer, offset, new Uint8Array(unshared(data)), first, size)
        : write(buffer, offset, data, first, size);
    const encoders = device.createCommandEncoder.bind(device);
    device.createCommandEncoder = (descriptor) => {
      const encoder = encoders(descriptor);
      const begin = encoder.beginComputePass.bind(encoder);
      encoder.beginComputePass = (options) => {
        const pass = begin(options);
        const dispatch = pass.dispatchWorkgroups.bind(pass);
        pass.dispatchWorkgroups = (x, y, z) => {
          this.dispatches += 1;
          return dispatch(x, y, z);
        };
        return pass;
      };
      return encoder;
    };
  }
}

function unshared({ buffer, byteOffset, byteLength }: ArrayBufferView): ArrayBuffer {
  const copy = new Uint8Array(byteLength);
  copy.set(new Uint8Array(buffer, byteOffset, byteLength));
  return copy.buffer;
}

/** The adapter that all contenders share. Devices are counted by the meter that was current when they were asked for. */
export class LentGpu {
  private current = new DeviceMeter();

  /**
   * Installs `gpu` as this process' navigator.gpu, with WebGPU's constants beside it.
   * @param globals of Dawn: GPUBufferUsage and the like.
   */
  constructor(
    readonly gpu: GPU,
    globals: object,
  ) {
    Object.assign(globalThis, globals);
    Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "node" }, configurable: true });
    const request = gpu.requestAdapter.bind(gpu);
    gpu.requestAdapter = async (options) => {
      const adapter = await request(options);
      if (adapter === null) return null;
      const open = adapter.requestDevice.bind(adapter);
      adapter.requestDevice = async (descriptor) => {
        const meter = this.current;
        const device = await open(descriptor);
        meter.watch(device);
        return device;
      };
      return adapter;
    };
  }

  /** Counts the devices that are asked for from here on. */
  meter(): DeviceMeter {
    this.current = new DeviceMeter();
    return this.current;
  }
}
