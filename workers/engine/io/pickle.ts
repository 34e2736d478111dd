/**
 * Reads the pickle inside a pytorch_model.bin. A pickle is a program that may call any Python function; this
 * interpreter knows the few names a state dict needs, calls nothing, and refuses everything else by name.
 */

/** What is wrong with a pickle, without the file's name. `callable` is set where something forbidden was asked for. */
export class PickleError extends Error {
  override readonly name = "PickleError";
  constructor(
    message: string,
    readonly callable: string | null = null,
  ) {
    super(message);
  }
}

/** A Python function or class, by name only. */
export class PickleGlobal {
  constructor(readonly path: string) {}
}

/** torch's reference to bytes outside the pickle: ("storage", type, key, device, number of elements). */
export class PickleReference {
  constructor(readonly id: readonly PickleValue[]) {}
}

/** A call that was asked for: recorded, never made. */
export class PickleCall {
  constructor(
    readonly callable: string,
    readonly args: readonly PickleValue[],
  ) {}
}

export class PickleDict {
  #entries: Map<PickleValue, PickleValue> | undefined;

  /** Made when it is first asked for: a file may hold a million empty dicts. */
  get entries(): Map<PickleValue, PickleValue> {
    this.#entries ??= new Map();
    return this.#entries;
  }
}

export type PickleValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | PickleValue[]
  | PickleDict
  | PickleGlobal
  | PickleReference
  | PickleCall;

/** Functions whose calls may be recorded. */
const CALLABLE: ReadonlySet<string> = new Set([
  "collections.OrderedDict",
  "torch._utils._rebuild_tensor_v2",
  "torch._utils._rebuild_parameter",
]);

/** Types that may be named, as part of a storage reference. */
const STORAGE = /^torch\.(Float|Half|BFloat16|Double|Long|Int|Short|Char|Byte|Bool)Storage$/;

/** Characters of a name in a message: strangers write long ones. */
const LONGEST_NAME = 200;

const MARK = Symbol("mark");
type Slot = PickleValue | typeof MARK;

class Machine {
  private readonly stack: Slot[] = [];
  private readonly memo = new Map<number, PickleValue>();
  private readonly data: DataView;
  private at = 0;

  constructor(private readonly bytes: Uint8Array) {
    this.data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): PickleValue {
    for (;;) {
      const opcode = this.data.getUint8(this.take(1));
      if (opcode === 0x2e) return this.pop(); // STOP
      this.step(opcode);
    }
  }

  /** Advances by `length` bytes and returns where they start. */
  private take(length: number): number {
    const start = this.at;
    if (length < 0 || start + length > this.bytes.byteLength) throw new PickleError("it is cut off");
    this.at = start + length;
    return start;
  }

  private text(length: number): string {
    const start = this.take(length);
    return new TextDecoder().decode(this.bytes.subarray(start, start + length));
  }

  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw new PickleError("it is cut off");
    const line = this.text(end - this.at);
    this.at = end + 1;
    return line;
  }

  private pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined || value === MARK) throw new PickleError("it takes a value that is not there");
    return value;
  }

  private top(): PickleValue {
    const value = this.stack.at(-1);
    if (value === undefined || value === MARK) throw new PickleError("it takes a value that is not there");
    return value;
  }

  private popToMark(): PickleValue[] {
    const start = this.stack.lastIndexOf(MARK);
    if (start < 0) throw new PickleError("it takes a value that is not there");
    const values: PickleValue[] = [];
    for (const value of this.stack.splice(start)) if (value !== MARK) values.push(value);
    return values;
  }

  private popText(what: string): string {
    const value = this.pop();
    if (typeof value !== "string") throw new PickleError(`${what} is not a text`);
    return value;
  }

  private popTuple(): PickleValue[] {
    const value = this.pop();
    if (!Array.isArray(value)) throw new PickleError("arguments are not a tuple");
    return value;
  }

  private global(module: string, name: string): PickleGlobal {
    const path = `${module}.${name}`;
    if (!CALLABLE.has(path) && !STORAGE.test(path)) {
      const shown = path.slice(0, LONGEST_NAME);
      throw new PickleError(`it asks for ${shown}, which no weights need`, shown);
    }
    return new PickleGlobal(path);
  }

  private call(): PickleValue {
    const args = this.popTuple();
    const callable = this.pop();
    if (!(callable instanceof PickleGlobal) || !CALLABLE.has(callable.path)) {
      const name = callable instanceof PickleGlobal ? callable.path : "a value";
      throw new PickleError(`it calls ${name}, which no weights need`, name);
    }
    if (callable.path !== "collections.OrderedDict") return new PickleCall(callable.path, args);
    if (args.length > 0) throw new PickleError("an OrderedDict with arguments");
    return new PickleDict();
  }

  private get(index: number): PickleValue {
    const value = this.memo.get(index);
    if (value === undefined) throw new PickleError(`it refers to value ${index}, which it never stored`);
    return value;
  }

  private setItems(pairs: readonly PickleValue[]): void {
    const target = this.top();
    if (!(target instanceof PickleDict) || pairs.length % 2 !== 0)
      throw new PickleError("items for something that is not a dict");
    for (let i = 0; i < pairs.length; i += 2) target.entries.set(pairs[i] ?? null, pairs[i + 1] ?? null);
  }

  private append(values: readonly PickleValue[]): void {
    const target = this.top();
    if (!Array.isArray(target)) throw new PickleError("elements for something that is not a list");
    for (const value of values) target.push(value);
  }

  /** LONG1: a little-endian two's complement number of up to 8 bytes. */
  private long(length: number): number {
    if (length > 8) throw new PickleError(`a number of ${length} bytes`);
    const start = this.take(length);
    let value = 0n;
    for (let i = 0; i < length; i++) value |= BigInt(this.data.getUint8(start + i)) << BigInt(8 * i);
    return Number(BigInt.asIntN(8 * length, value));
  }

  private step(opcode: number): void {
    const { stack, data } = this;
    switch (opcode) {
      case 0x80: {
        // PROTO
        const version = data.getUint8(this.take(1));
        if (version < 2 || version > 5) throw new PickleError(`pickle protocol ${version}`);
        return;
      }
      case 0x95: // FRAME: only a hint
        this.take(8);
        return;
      case 0x28: // MARK
        stack.push(MARK);
        return;
      case 0x30: // POP
        stack.pop();
        return;
      case 0x4e: // NONE
        stack.push(null);
        return;
      case 0x88: // NEWTRUE
        stack.push(true);
        return;
      case 0x89: // NEWFALSE
        stack.push(false);
        return;
      case 0x4a: // BININT
        stack.push(data.getInt32(this.take(4), true));
        return;
      case 0x4b: // BININT1
        stack.push(data.getUint8(this.take(1)));
        return;
      case 0x4d: // BININT2
        stack.push(data.getUint16(this.take(2), true));
        return;
      case 0x8a: // LONG1
        stack.push(this.long(data.getUint8(this.take(1))));
        return;
      case 0x47: // BINFLOAT
        stack.push(data.getFloat64(this.take(8), false));
        return;
      case 0x58: // BINUNICODE
        stack.push(this.text(data.getUint32(this.take(4), true)));
        return;
      case 0x8c: // SHORT_BINUNICODE
        stack.push(this.text(data.getUint8(this.take(1))));
        return;
      case 0x7d: // EMPTY_DICT
        stack.push(new PickleDict());
        return;
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        stack.push([]);
        return;
      case 0x85: // TUPLE1
        stack.push([this.pop()]);
        return;
      case 0x86: {
        // TUPLE2
        const second = this.pop();
        stack.push([this.pop(), second]);
        return;
      }
      case 0x87: {
        // TUPLE3
        const third = this.pop();
        const second = this.pop();
        stack.push([this.pop(), second, third]);
        return;
      }
      case 0x74: // TUPLE
        stack.push(this.popToMark());
        return;
      case 0x61: {
        // APPEND
        const value = this.pop();
        this.append([value]);
        return;
      }
      case 0x65: // APPENDS
        this.append(this.popToMark());
        return;
      case 0x73: {
        // SETITEM
        const value = this.pop();
        this.setItems([this.pop(), value]);
        return;
      }
      case 0x75: // SETITEMS
        this.setItems(this.popToMark());
        return;
      case 0x71: // BINPUT
        this.memo.set(data.getUint8(this.take(1)), this.top());
        return;
      case 0x72: // LONG_BINPUT
        this.memo.set(data.getUint32(this.take(4), true), this.top());
        return;
      case 0x94: // MEMOIZE
        this.memo.set(this.memo.size, this.top());
        return;
      case 0x68: // BINGET
        stack.push(this.get(data.getUint8(this.take(1))));
        return;
      case 0x6a: // LONG_BINGET
        stack.push(this.get(data.getUint32(this.take(4), true)));
        return;
      case 0x63: {
        // GLOBAL
        const module = this.line();
        stack.push(this.global(module, this.line()));
        return;
      }
      case 0x93: {
        // STACK_GLOBAL
        const name = this.popText("a function's name");
        stack.push(this.global(this.popText("a module's name"), name));
        return;
      }
      case 0x51: // BINPERSID
        stack.push(new PickleReference(this.popTuple()));
        return;
      case 0x52: // REDUCE
        stack.push(this.call());
        return;
      case 0x62: {
        // BUILD: attributes of an OrderedDict (its _metadata), which nobody needs
        this.pop();
        if (!(this.top() instanceof PickleDict)) throw new PickleError("attributes for something that is not a dict");
        return;
      }
      default:
        throw new PickleError(`it uses instruction 0x${opcode.toString(16)}, which no weights need`);
    }
  }
}

/** The value a pickle describes. Calls in it are recorded, never made. Throws PickleError. */
export function readPickle(bytes: Uint8Array): PickleValue {
  return new Machine(bytes).run();
}
