/**
 * Goes through very many things without keeping the event loop from everybody else.
 */

/** So many connections are counted at once: within 2 ms (measured). The next ones follow after `pause`, in milliseconds. */
const portion = 4096
const pause = 50

/** Calls `each` for all things, those that are added meanwhile included, and then `done`. @internal */
export const inPortions = <A>(
  things: Iterator<A>,
  delay: (millis: number, run: () => void) => void,
  each: (thing: A) => void,
  done: () => void
): void => {
  for (let left = portion; left > 0; left--) {
    const next = things.next()
    if (next.done === true) return done()
    each(next.value)
  }
  delay(pause, () => inPortions(things, delay, each, done))
}
