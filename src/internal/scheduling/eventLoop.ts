/**
 * What this package uses of the event loop of its platform. Time otherwise comes from Effect's `Clock`. The members may be
 * replaced: a simulator of both ends decides by them what runs next.
 */

/** Runs a task in the next turn. A timer would be too late: browsers delay timers in hidden tabs. */
const requestTurn = (() => {
  if (typeof setImmediate === "function") return (task: () => void) => void setImmediate(task)
  const tasks: Array<() => void> = []
  let port: MessagePort | undefined = undefined
  return (task: () => void) => {
    if (port === undefined) {
      const channel = new MessageChannel()
      channel.port1.onmessage = () => tasks.shift()?.()
      port = channel.port2
    }
    tasks.push(task)
    port.postMessage(0)
  }
})()

/** @internal */
export const eventLoop = {
  requestTurn,
  /** Runs a task when the current one is done, before any other turn. */
  requestMicrotask: (task: () => void): void => queueMicrotask(task),
  /** How long this process has been running, in milliseconds: for measuring how busy it is. */
  now: (): number => performance.now()
}

/**
 * Has what waits for a turn run before the current one ends. Workers needs that: many Durable Objects share a process, each turn belongs
 * to one of them, and the others may not use their WebSockets and timers in it. The clock stands still there while code runs, so that
 * there is no time of a turn to share out.
 *
 * @internal
 */
export const endTurnsAtOnce = (): void => {
  eventLoop.requestTurn = eventLoop.requestMicrotask
}
