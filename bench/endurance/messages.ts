/**
 * What the processes are told when they start, and what they and the driver say to each other.
 */

export interface Role {
  /** Of this start of a process: callers are told apart by it. */
  readonly number: number
  /** Where records are written. */
  readonly folder: string
  /** Calls a second at most: fewer while the machine does not sustain them. */
  readonly rate: number
  /** Links of this process that it cuts a second. */
  readonly cuts: number
  /** Share of them that are silent. */
  readonly silence: number
  /** No process of this site is restarted but those of devices that are `killed`. */
  readonly steadyHub: boolean
}

export interface HubRole extends Role {
  readonly port: number
}

/**
 * What happens to devices: `cut` ones lose nothing but links; of `churned` ones some say goodbye all the time and others
 * take their place; the process of `killed` ones is killed and started again besides.
 */
export type Kind = "cut" | "churned" | "killed"

export interface DevicesRole extends Role {
  readonly url: string
  readonly kind: Kind
  readonly count: number
  /** The begin of the names of its devices. */
  readonly name: string
  /** Devices that say goodbye a second. */
  readonly churn: number
}

export type ToChild =
  | { readonly type: "call" }
  /** Ask for figures, after the collection of garbage or as they are. */
  | { readonly type: "measure"; readonly collect: boolean }
  /** No more calls and cuts: answered when the last call has ended. */
  | { readonly type: "stop" }

export type ToDriver =
  | { readonly type: "ready"; readonly url: string }
  | { readonly type: "figures"; readonly figures: Figures }
  | { readonly type: "stopped"; readonly made: number; readonly open: number }

export interface Memory {
  readonly rss: number
  readonly heapUsed: number
  readonly heapTotal: number
  /** Memory of buffers, outside of the heap. */
  readonly external: number
}

/** Of the time since the last figures. */
export interface Figures extends Memory {
  /** After a forced collection of garbage. */
  readonly collected: Memory | undefined
  /** Open file descriptors. */
  readonly fds: number
  /** Milliseconds that a timer was late, whatever else the machine did. */
  readonly loop: { readonly p50: number; readonly p99: number; readonly max: number }
  /** Milliseconds of the longest turn of the event loop, of which only what the process itself worked counts. */
  readonly longestTurn: number
  /** Milliseconds of the longest collection of garbage. */
  readonly longestCollection: number
  /** Share of the time in which the event loop had work. */
  readonly utilization: number
  readonly seconds: number
  readonly cpuSeconds: number
  /** Hubs: connections. Devices: those that are connected. */
  readonly connections: number
  readonly made: number
  readonly open: number
  /** Milliseconds of calls that were completed. */
  readonly latency: { readonly p50: number; readonly p99: number; readonly max: number }
  /** Links that were cut, connections that were resumed, and whatever else happened, since the process started. */
  readonly counts: Readonly<Record<string, number>>
}
