/**
 * Programs as the documentation prints them.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

const root = Path.join(import.meta.dirname, "../..")

const read = (document: string): string => Fs.readFileSync(Path.join(root, document), "utf8")

/** The programs of a document that name their file in the first line, by that name. */
export const programsOf = (document: string): ReadonlyMap<string, string> =>
  new Map(
    Array.from(
      read(document).matchAll(/^```ts$\n(\/\/ (\w+\.ts)\n[^]*?)^```$/gm),
      ({ 1: code = "", 2: name = "" }) => [name, code]
    )
  )

/** The commands of the quick start, line by line: what sets a folder up, and what runs in each terminal. */
export const commands = (): { readonly setUp: ReadonlyArray<string>; readonly terminals: ReadonlyArray<string> } => {
  const text = read("README.md")
  const section = text.slice(text.indexOf("## Quick start"), text.indexOf("## Without Effect"))
  const [setUp = "", ...terminals] = Array.from(
    section.matchAll(/^```sh$\n([^]*?)^```$/gm),
    ({ 1: block = "" }) => block.trim()
  )
  return { setUp: setUp.split("\n"), terminals }
}
