/**
 * The head table: static entries and, per direction, a dynamic table of recently sent fields (PROTOCOL.md, "Static
 * table", "Dynamic table" and "What to add").
 */

/** @internal */
export type Field = readonly [name: string, value: string]

/** Index 0-47, in the order of PROTOCOL.md. */
const staticTable: ReadonlyArray<Field> = [
  ["accept", "*/*"],
  ["accept", "application/json"],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["authorization", ""],
  ["b3", ""],
  ["cache-control", "no-cache"],
  ["cache-control", "no-store"],
  ["content-disposition", ""],
  ["content-encoding", "gzip"],
  ["content-length", ""],
  ["content-length", "0"],
  ["content-type", "application/json"],
  ["content-type", "application/x-ndjson"],
  ["content-type", "application/octet-stream"],
  ["content-type", "application/x-www-form-urlencoded"],
  ["content-type", "text/event-stream"],
  ["content-type", "text/plain"],
  ["content-type", "text/plain; charset=utf-8"],
  ["content-type", "text/html; charset=utf-8"],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["last-modified", ""],
  ["location", ""],
  ["origin", ""],
  ["priority", ""],
  ["range", ""],
  ["content-range", ""],
  ["accept-ranges", "bytes"],
  ["referer", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["traceparent", ""],
  ["tracestate", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["www-authenticate", ""],
  ["x-request-id", ""],
  ["x-correlation-id", ""],
  ["idempotency-key", ""],
  ["access-control-allow-origin", "*"],
  ["allow", ""]
]

/** @internal */
export const staticSize = staticTable.length

/** Counted for each entry and each field besides its UTF-8, as in RFC 7541 section 4.1. @internal */
export const entryOverhead = 32

/** Values of these change with nearly every head: in a dynamic table they would only replace useful entries. */
const volatileNames: ReadonlySet<string> = new Set([
  "content-length",
  "date",
  "etag",
  "traceparent",
  "tracestate",
  "b3",
  "last-modified",
  "x-request-id",
  "x-correlation-id",
  "idempotency-key",
  "range",
  "content-range",
  "location"
])

/** A name of the static table. @internal */
export interface StaticName {
  /** Index of the first field with this name. */
  readonly index: number
  /** Indices of the fields with this name, by value. */
  readonly values: Map<string, number>
  readonly isVolatile: boolean
}

/** By name, and then by value: two maps spare the hot path a concatenation. @internal */
export const staticNames = new Map<string, StaticName>()
staticTable.forEach(([name, value], index) => {
  const known = staticNames.get(name) ?? { index, values: new Map(), isVolatile: volatileNames.has(name) }
  staticNames.set(name, known)
  known.values.set(value, index)
})

/** The name of a field. It is decoded once, and shared by the entries and fields that refer to it. @internal */
export interface Name {
  readonly text: string
  /** Its length in UTF-8. */
  readonly bytes: number
  /** What is wrong with it. Such a name may be in the table, and makes every head that uses it malformed. */
  readonly fault: string | undefined
  /** The field belongs to another transport, and is left out of heads. */
  readonly dropped: boolean
}

/** An entry of a decoder's table. @internal */
export interface Entry {
  readonly name: Name
  readonly field: Field
  readonly size: number
  /** What is wrong with name or value. */
  readonly fault: string | undefined
}

/** @internal */
export const staticEntries: ReadonlyArray<Entry> = staticTable.map((field) => ({
  name: { text: field[0], bytes: field[0].length, fault: undefined, dropped: false },
  field,
  size: field[0].length + field[1].length + entryOverhead,
  fault: undefined
}))

/** Evicted slots are cut off when they are at least this many and the larger half. */
const minCut = 32

/**
 * The dynamic table as both ends keep it: entries numbered by insertion, the oldest evicted to stay within `capacity`.
 *
 * @internal
 */
export abstract class DynamicTable<E extends Pick<Entry, "field" | "size">> {
  protected readonly capacity: number
  /** Slots before `oldest` are evicted. */
  readonly slots: Array<E | undefined> = []
  #oldest = 0
  /** Insertion number of `slots[0]`. */
  protected first = 0
  /** Bytes in use, never more than the capacity. */
  size = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  protected insert(entry: E): void {
    const slots = this.slots
    while (this.size + entry.size > this.capacity && this.#oldest < slots.length) {
      const evicted = slots[this.#oldest]!
      slots[this.#oldest] = undefined
      this.size -= evicted.size
      this.#oldest++
      this.evicted(evicted.field)
    }
    if (this.#oldest >= minCut && this.#oldest * 2 >= slots.length) {
      slots.splice(0, this.#oldest)
      this.first += this.#oldest
      this.#oldest = 0
    }
    if (entry.size > this.capacity) return
    slots.push(entry)
    this.size += entry.size
  }

  protected evicted(_field: Field): void {}
}

/** The table of a decoder. @internal */
export class DecodeTable extends DynamicTable<Entry> {
  /** Both ends know upgrades. */
  readonly upgrades: boolean

  constructor(capacity: number, upgrades = false) {
    super(capacity)
    this.upgrades = upgrades
  }

  /** The entry of an index as it stands on the wire; `undefined` when the table has none. */
  get(index: number): Entry | undefined {
    return index < staticSize ? staticEntries[index] : this.slots[this.slots.length - 1 - (index - staticSize)]
  }

  add(name: Name, field: Field, size: number, fault: string | undefined): void {
    this.insert({ name, field, size, fault })
  }
}
