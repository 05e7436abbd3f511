/**
 * Runs before all tests, and once after them: makes the folder of the programs that tests start, and removes it. Processes
 * that run tests are ended without a chance to do so.
 */
import * as fs from "node:fs"
import * as path from "node:path"

/** Below `node_modules`, so that the programs find the packages that are not bundled. */
const cache = path.join(import.meta.dirname, "../../node_modules/.cache/effect-swaggersocket")

export default (): () => void => {
  fs.mkdirSync(cache, { recursive: true })
  const folder = fs.mkdtempSync(path.join(cache, "programs-"))
  process.env.TEST_PROGRAMS = folder
  return () => fs.rmSync(folder, { recursive: true, force: true })
}
