/** Waits until something is so, for 20 seconds at most. */
export const untilThere = async (condition: () => boolean): Promise<void> => {
  const end = performance.now() + 20_000
  while (!condition()) {
    if (performance.now() > end) throw new Error("it has not come about within 20 s")
    await new Promise((resolve) => void setTimeout(resolve, 2))
  }
}
