/**
 * Whether the packages of this folder are installed. They are many, so that the root does not have them.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

export const isInstalled = Fs.existsSync(Path.join(import.meta.dirname, "node_modules", ".package-lock.json"))

if (!isInstalled) {
  console.log("skipped: HTTP clients and server frameworks, until `npm ci --prefix test/ecosystem` was run")
}
