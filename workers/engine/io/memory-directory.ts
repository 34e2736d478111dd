/**
 * A directory in memory with the browser's rules that matter (one sync access handle per file, NotFoundError, a quota):
 * for unit tests of what is built on opfs.ts. The browser's own storage is covered by e2e.
 */
import type { DirectoryHandle, FileHandle, SyncHandle } from "./opfs";

/** Shared by a whole tree: bytes left, null for no limit. */
export interface MemoryDisk {
  free: number | null;
}

class MemoryFile implements FileHandle {
  readonly kind = "file";
  bytes: Uint8Array = new Uint8Array(0);
  open = false;

  constructor(
    readonly name: string,
    private readonly disk: MemoryDisk,
  ) {}

  async getFile(): Promise<File> {
    return new File([new Uint8Array(this.bytes)], this.name);
  }

  async createSyncAccessHandle(): Promise<SyncHandle> {
    if (this.open) throw new DOMException("an access handle is open", "NoModificationAllowedError");
    this.open = true;
    return {
      read: (buffer, options) => {
        const part = this.bytes.subarray(options?.at ?? 0, (options?.at ?? 0) + buffer.length);
        buffer.set(part);
        return part.length;
      },
      write: (buffer, options) => {
        const at = options?.at ?? 0;
        this.resize(Math.max(this.bytes.length, at + buffer.length));
        this.bytes.set(buffer, at);
        return buffer.length;
      },
      truncate: (size) => this.resize(size),
      getSize: () => this.bytes.length,
      flush: () => undefined,
      close: () => {
        this.open = false;
      },
    };
  }

  private resize(size: number): void {
    const growth = size - this.bytes.length;
    if (this.disk.free !== null) {
      if (growth > this.disk.free) throw new DOMException("full", "QuotaExceededError");
      this.disk.free -= growth;
    }
    const resized = new Uint8Array(size);
    resized.set(this.bytes.subarray(0, size));
    this.bytes = resized;
  }
}

export class MemoryDirectory implements DirectoryHandle {
  readonly kind = "directory";
  readonly #children = new Map<string, MemoryFile | MemoryDirectory>();

  constructor(
    readonly name = "",
    readonly disk: MemoryDisk = { free: null },
  ) {}

  async getFileHandle(name: string, options?: { create?: boolean }): Promise<FileHandle> {
    return this.file(name, options?.create ?? false);
  }

  /** The stored file itself, for a test that damages it. */
  file(name: string, create = false): MemoryFile {
    const child = this.#children.get(name);
    if (child instanceof MemoryFile) return child;
    if (child !== undefined) throw new DOMException(name, "TypeMismatchError");
    if (!create) throw new DOMException(name, "NotFoundError");
    const made = new MemoryFile(name, this.disk);
    this.#children.set(name, made);
    return made;
  }

  async getDirectoryHandle(name: string, options?: { create?: boolean }): Promise<MemoryDirectory> {
    if (name === "" || name === "." || name === ".." || name.includes("/")) throw new TypeError("Name is not allowed.");
    const child = this.#children.get(name);
    if (child instanceof MemoryDirectory) return child;
    if (child !== undefined) throw new DOMException(name, "TypeMismatchError");
    if (options?.create !== true) throw new DOMException(name, "NotFoundError");
    const made = new MemoryDirectory(name, this.disk);
    this.#children.set(name, made);
    return made;
  }

  async removeEntry(name: string): Promise<void> {
    const child = this.#children.get(name);
    if (child === undefined) throw new DOMException(name, "NotFoundError");
    if (this.disk.free !== null) this.disk.free += child instanceof MemoryFile ? child.bytes.length : child.#bytes();
    this.#children.delete(name);
  }

  #bytes(): number {
    let sum = 0;
    for (const child of this.#children.values())
      sum += child instanceof MemoryFile ? child.bytes.length : child.#bytes();
    return sum;
  }

  /** Closes every access handle below, as the browser does when a worker dies. */
  closeAll(): void {
    for (const child of this.#children.values()) {
      if (child instanceof MemoryFile) child.open = false;
      else child.closeAll();
    }
  }

  async *values(): AsyncGenerator<FileHandle | DirectoryHandle> {
    yield* this.#children.values();
  }
}
