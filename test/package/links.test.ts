/**
 * Links of the documents in the package: each leads to a file that is in the package as well, and to a heading that is there.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

const root = Path.join(import.meta.dirname, "../..")

/** What the package has. Another test builds it anew meanwhile, and files that go while they are listed are an error of npm. */
const list = (attempts: number): ReadonlyArray<{ readonly path: string }> => {
  try {
    const listed = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"]
    })
    return JSON.parse(listed)[0].files
  } catch (error) {
    if (attempts === 1) throw error
    return list(attempts - 1)
  }
}

const packed = list(20)
const paths = packed.map(({ path }) => path)
const inPackage: ReadonlySet<string> = new Set([...paths, ...paths.map((path) => Path.dirname(path))])
const documents = paths.filter((path) => path.endsWith(".md"))

/** Without code, in which brackets are no links. */
const proseOf = (document: string): string =>
  Fs.readFileSync(Path.join(root, document), "utf8").replace(/^```[^]*?^```$/gm, "").replace(
    /`[^`\n]*`/g,
    (code) => code.replace(/[[\]]/g, "")
  )

/** The names that headings are linked by. */
const headingsOf = (document: string): ReadonlySet<string> =>
  new Set(
    Array.from(proseOf(document).matchAll(/^#+ (.*)$/gm), ({ 1: heading = "" }) =>
      heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-"))
  )

const linksOf = (document: string): ReadonlyArray<string> =>
  Array.from(proseOf(document).matchAll(/\]\(([^)\s]+)\)/g), ({ 1: link = "" }) => link)
    .filter((link) => !/^[a-z]+:/.test(link))

describe("links of the documents in the package", () => {
  it("there are some", () => {
    assert.includeMembers(documents, ["README.md", "PROTOCOL.md", "CHANGELOG.md", "docs/promise.md"])
    assert.isAbove(documents.flatMap(linksOf).length, 50)
  })

  for (const document of documents) {
    it(`${document} links to files and headings of the package alone`, () => {
      const broken = linksOf(document).filter((link) => {
        const [to = "", heading] = link.split("#")
        const path = to === "" ? document : Path.join(Path.dirname(document), to).replace(/\/$/, "")
        return !inPackage.has(path) || (heading !== undefined && !headingsOf(path).has(heading))
      })
      assert.deepStrictEqual(broken, [])
    })
  }
})
