/**
 * Processes with the way in without Effect.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as Path from "node:path"
import { bundle } from "../support/bundle.ts"

/** Runs a program to its end; answers what it has printed. */
const run = async (program: string, signal: AbortSignal): Promise<string> => {
  const file = await bundle(Path.join(import.meta.dirname, `children/${program}.ts`))
  return new Promise((resolve, reject) =>
    execFile(
      process.execPath,
      [file],
      { encoding: "utf8", signal, killSignal: "SIGKILL" },
      (error, stdout, stderr) => error === null ? resolve(`${stdout}${stderr}`) : reject(error)
    )
  )
}

describe("a process", () => {
  it("ends by itself when all is closed, without an unhandled rejection, whatever has failed in it", async ({ signal }) => {
    const output = await run("ends", signal)
    assert.notInclude(output, "unhandled")
    assert.match(output, /^TimeoutError$/m)
    assert.match(output, /^500 Closed TypeError\nexits with 0$/m)
    assert.include(output, "a listener of \"connection\" has failed")
    assert.include(output, "a handler has failed")
  })
})
