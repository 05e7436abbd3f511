/**
 * chatter-cli in conversation with the service: what it prints, and how it ends.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Jose from "jose"
import { once } from "node:events"
import * as Net from "node:net"
import { beforeAll } from "vitest"
import { type Ended, newDatabase, noTerminal, runToEnd, serve, type Server } from "./programs.ts"

const prompt = "Press Ctrl+D to stop chatting.\n"

/** The JSON values that were printed one below the other. */
const valuesOf = (stdout: string): ReadonlyArray<any> =>
  stdout.replace(prompt, "").split(/(?<=^(?:[}\]]|\{\}|\[\]|".*")$)\n/m).filter((text) => text !== "")
    .map((text) => JSON.parse(text))

const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/

/** Messages or the like, whose times are looked at here. */
const withoutTime = (values: ReadonlyArray<any>): ReadonlyArray<unknown> =>
  values.map(({ SentAt, ...value }) => {
    assert.match(SentAt, at)
    return value
  })

const assertFails = ({ code, stderr, stdout }: Ended, message: string | RegExp): void => {
  if (typeof message === "string") assert.strictEqual(stderr, `${message}\n`)
  else assert.match(stderr, message)
  assert.strictEqual(stderr.split("\n").length, 2, `more than one line: ${stderr}`)
  assert.notInclude(stdout, "{}")
  assert.strictEqual(code, 1)
}

const sign = (claims: Jose.JWTPayload): Promise<string> =>
  new Jose.SignJWT(claims).setProtectedHeader({ alg: "HS256", typ: "JWT" }).sign(new TextEncoder().encode("secret"))

const scopes = ["stream:read", "stream:write"]

describe("chatter-cli", { timeout: 120_000 }, () => {
  let server: Server

  beforeAll(async () => {
    server = await serve()
  }, 120_000)

  for (const binding of ["websocket", "connection"] as const) {
    it.concurrent(`echoer prints each echo before the next line is written, and subscribers see it, by ${binding}`, async () => {
      const subscriber = server.start(["--binding", binding, "chatter", "subscribe"])
      const echoer = server.start(["--binding", binding, "chatter", "echoer"])
      await echoer.prints(prompt)
      await server.untilTold(subscriber)
      for (const line of [`${binding} one`, `${binding} two <b>&"\\`, ""]) {
        echoer.write(`${line}\n`)
        await echoer.prints(`\n${JSON.stringify(line)}\n`)
        await subscriber.prints(`"Message": ${JSON.stringify(line)},`)
      }
      echoer.end("last, without an end of line")
      assert.deepStrictEqual(await echoer.ended, {
        code: 0,
        stdout: `${prompt}"${binding} one"\n"${binding} two <b>&\\"\\\\"\n""\n"last, without an end of line"\n{}\n`,
        stderr: ""
      })
      const events = valuesOf(await subscriber.prints(/last, without an end of line[^}]*\n}\n/))
      const { AddedAt, ...first } = events.find(({ Message }) => Message === `${binding} one`)
      assert.deepStrictEqual(first, { Message: `${binding} one`, Action: "added" })
      assert.match(AddedAt, at)

      subscriber.kill("SIGINT")
      const { code, stderr, stdout } = await subscriber.ended
      assert.isTrue(stdout.endsWith("}\n\nexiting\n"), stdout)
      assert.deepStrictEqual([code, stderr], [0, ""])
    })
  }

  it.concurrent("messages are kept over a restart, and over SIGKILL all that were echoed", async () => {
    const database = newDatabase()
    const first = await serve(["--database", database])
    const nothing = await first.cli(["chatter", "history"])
    assert.deepStrictEqual(nothing, { code: 0, stdout: "{}\n", stderr: "" })
    const listener = await first.cli(["-v", "chatter", "listener"], "for the\0listener\r\nagain\n")
    assert.deepStrictEqual([listener.code, listener.stdout], [0, `${prompt}{}\n`])
    assert.match(listener.stderr, /^> GET .*\/listener$/m)
    assert.match(listener.stderr, /^> authorization: Bearer <redacted>$/m)
    assert.match(listener.stderr, /^< 101$/m)
    const summary = await first.cli(["chatter", "summary"], "héllo ✓\n\ntwo three\n")
    assert.match(summary.stdout, /^Press.*\n\[\n {4}{\n {8}"Message": "héllo ✓",\n {8}"Length": 10,\n {8}"SentAt": "/)
    assert.isTrue(summary.stdout.endsWith("\n    }\n]\n{}\n"), summary.stdout)
    const summarized = [{ Message: "héllo ✓", Length: 10 }, { Message: "", Length: 0 }, {
      Message: "two three",
      Length: 9
    }]
    assert.deepStrictEqual(withoutTime(valuesOf(summary.stdout)[0]), summarized)
    assert.strictEqual((await first.stop("SIGTERM")).code, 0)

    const second = await serve(["--database", database])
    const [history, tiny] = await Promise.all([
      second.cli(["chatter", "history", "--view", "default"]),
      second.cli(["chatter", "history", "--view", "tiny"])
    ])
    assert.match(history.stdout, /^{\n {4}"Message": "for the\\u0000listener",\n {4}"Length": 16,\n {4}"SentAt": "/)
    const before = [{ Message: "for the\0listener", Length: 16 }, { Message: "again", Length: 5 }, ...summarized]
    assert.deepStrictEqual(withoutTime(valuesOf(history.stdout).slice(0, -1)), before)
    const tinyOf = ({ Message }: { readonly Message: string }) =>
      `{\n    "Message": ${JSON.stringify(Message)},\n    "Length": null,\n    "SentAt": ""\n}\n`
    assert.deepStrictEqual(tiny, { code: 0, stdout: `${before.map(tinyOf).join("")}{}\n`, stderr: "" })

    const echoer = second.start(["chatter", "echoer"])
    for (let line = 1; line <= 2000; line++) echoer.write(`line ${line}\n`)
    await echoer.prints(/"line 5\d\d"\n/)
    await second.stop("SIGKILL")
    const killed = await echoer.ended
    assertFails(killed, /^\[chatter echoer\]: /)
    const echoes = valuesOf(killed.stdout)

    const third = await serve(["--database", database])
    const { stdout } = await third.cli(["--binding", "connection", "chatter", "history"])
    const messages = valuesOf(stdout).slice(0, -1).map(({ Message }) => Message)
    assert.deepStrictEqual(messages.slice(0, before.length), before.map(({ Message }) => Message))
    const lines = messages.slice(before.length)
    assert.isAtLeast(lines.length, echoes.length, "what was echoed was kept")
    assert.deepStrictEqual(lines, lines.map((_, index) => `line ${index + 1}`))
  })

  for (const binding of ["websocket", "connection"]) {
    it.concurrent(`a summary of more than 1 MiB, and a message of nearly 1 MiB, are printed, by ${binding}`, async () => {
      const server = await serve()
      const lines = Array.from({ length: 30 }, (_, line) => `${line} ${"x".repeat(60_000)}`)
      const large = "y".repeat(1024 * 1024 - 10)
      const { code, stderr, stdout } = await server.cli(
        ["--binding", binding, "chatter", "summary"],
        [...lines, large, ""].join("\n")
      )
      assert.deepStrictEqual([code, stderr], [0, ""])
      const summary = valuesOf(stdout)[0] as ReadonlyArray<{ readonly Message: string }>
      const messages = summary.map(({ Message }) => Message)
      assert.deepStrictEqual(messages, [...lines, large])
      const history = await server.cli(["--binding", binding, "chatter", "history"])
      assert.deepStrictEqual([history.code, history.stderr], [0, ""])
      assert.include(history.stdout, large)
    })
  }

  it.concurrent("listener and summary work by a connection", async () => {
    const options = ["--binding", "connection", "chatter"]
    const listener = await server.cli([...options, "listener"], "x\n")
    assert.deepStrictEqual(listener, { code: 0, stdout: `${prompt}{}\n`, stderr: "" })
    const summary = await server.cli([...options, "summary"])
    assert.deepStrictEqual(summary, { code: 0, stdout: `${prompt}[]\n{}\n`, stderr: "" })
  })

  it.concurrent("each mistake with a login or a token is reported in a line", async () => {
    const { cli } = server
    const login = await cli(["-v", "chatter", "login", "--user", "goa", "--password", "rocks"])
    assert.match(login.stdout, /^"[\w-]+\.[\w-]+\.[\w-]+"\n$/)
    assert.match(login.stderr, /^> POST .*\/login\n> authorization: Basic <redacted>\n< 200\n/)
    const refusals: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
      [
        ["chatter", "login", "--user", "goa", "--password", "bad"],
        "[chatter login]: Credentials are invalid: invalid username and password combination"
      ],
      [["chatter", "summary", "--token", ""], "[chatter summary]: \"token\" is missing from header"],
      [["chatter", "echoer", "--token", "bad"], "[chatter echoer]: Credentials are invalid: invalid token"],
      [
        ["chatter", "history", "--token", await sign({ scopes, exp: 1000 })],
        "[chatter history]: Credentials are invalid: invalid token"
      ],
      [
        ["chatter", "subscribe", "--token", await sign({ scopes: ["stream:read"] })],
        "[chatter subscribe]: Not allowed: missing scopes: stream:write"
      ],
      [
        ["--binding", "connection", "chatter", "history", "--token", await sign({ scopes: ["stream:write"] })],
        "[chatter history]: Not allowed: missing scopes: stream:read"
      ]
    ]
    for (const [args, message] of refusals) assertFails(await cli(args, "x\n"), message)
    const asPrinted = await cli(["chatter", "summary", "--token", `Bearer ${login.stdout.trim()}`])
    assert.deepStrictEqual(asPrinted, { code: 0, stdout: `${prompt}[]\n{}\n`, stderr: "" })
  })

  it.concurrent("a token that expires ends the conversation", async () => {
    for (let lifetime = 4;; lifetime *= 2) {
      const token = await sign({ scopes, exp: Math.ceil(Date.now() / 1000) + lifetime })
      const echoer = server.start(["chatter", "echoer", "--token", token])
      echoer.write("in time\n")
      const ended = await echoer.ended
      // It may have taken longer to start.
      if (!ended.stdout.includes("\"in time\"\n") && lifetime < 30) continue
      assertFails(ended, "[chatter echoer]: Credentials are invalid: token expired")
      assert.strictEqual(ended.stdout, `${prompt}"in time"\n`)
      return
    }
  })

  it.concurrent("a subscription by a connection outlives its link", async ({ onTestFinished }) => {
    const links = new Set<Net.Socket>()
    const proxy = Net.createServer((socket) => {
      const link = Net.connect(Number(new URL(server.url).port), "127.0.0.1")
      links.add(socket)
      socket.pipe(link).pipe(socket)
      socket.on("error", () => link.destroy())
      link.on("error", () => socket.destroy())
    }).listen(0, "127.0.0.1")
    onTestFinished(() => {
      proxy.close()
      for (const link of links) link.destroy()
    })
    await once(proxy, "listening")
    const url = `http://127.0.0.1:${(proxy.address() as Net.AddressInfo).port}`
    const subscriber = server.start(["--binding", "connection", "chatter", "subscribe"], { url })
    await server.untilTold(subscriber)
    for (const link of links) link.destroy()
    await server.send("listener", ["sent while there was no link"])
    await subscriber.prints("sent while there was no link")
    assert.isAtLeast(links.size, 2)
    subscriber.kill("SIGINT")
    assert.deepStrictEqual((await subscriber.ended).code, 0)
  })

  it.concurrent("a server that goes away, or is not there, is reported in a line", async () => {
    const leaving = await serve()
    const subscribers = [
      leaving.start(["chatter", "subscribe"]),
      leaving.start(["--binding", "connection", "chatter", "subscribe"])
    ]
    for (const subscriber of subscribers) await leaving.untilTold(subscriber)
    const { code, stderr } = await leaving.stop("SIGTERM")
    assert.deepStrictEqual([code, stderr], [0, ""])
    const [webSocket, connection] = subscribers
    assertFails(await webSocket!.ended, /^\[chatter subscribe\]: .*\b1001\b.*\n$/)
    assertFails(
      await connection!.ended,
      /^\[chatter subscribe\]: the connection is closed before the call is complete\n$/
    )

    const refused = /^\[chatter \w+\]: connect ECONNREFUSED 127\.0\.0\.1:\d+\n$/
    assertFails(await leaving.cli(["chatter", "history"]), refused)
    assertFails(await leaving.cli(["--binding", "connection", "chatter", "history"]), refused)
    assertFails(await leaving.cli(["chatter", "login", "--user", "goa", "--password", "rocks"]), refused)
  })

  it.skipIf(noTerminal !== undefined)("echoer in a terminal ends with Ctrl+D", async () => {
    const echoer = server.start(["chatter", "echoer"], { terminal: true })
    await echoer.prints("Press Ctrl+D to stop chatting.\r\n")
    echoer.write("typed one\n")
    await echoer.prints("\r\n\"typed one\"\r\n")
    echoer.write("typed two\n")
    await echoer.prints("\r\n\"typed two\"\r\n")
    echoer.write("\u0004")
    const { code, stdout } = await echoer.ended
    const lines = [prompt.trim(), "typed one", "\"typed one\"", "typed two", "\"typed two\"", "{}", ""]
    assert.strictEqual(stdout, lines.join("\r\n"))
    assert.strictEqual(code, 0)
  })

  it.skipIf(noTerminal !== undefined)("summary in a terminal ends with Ctrl+C", async () => {
    const summary = server.start(["chatter", "summary"], { terminal: true })
    await summary.prints("Press Ctrl+D to stop chatting.\r\n")
    summary.write("typed\n")
    await summary.prints("typed\r\n")
    summary.write("\u0003")
    const { code, stdout } = await summary.ended
    assert.strictEqual(stdout, [prompt.trim(), "typed", "^C", "exiting", ""].join("\r\n"))
    assert.strictEqual(code, 0)
  })

  if (noTerminal !== undefined) console.warn(`chatter-cli is not tested in a terminal: ${noTerminal}`)

  it.concurrent("a reader that takes only a part of the output gets that part, and no stack traces", async () => {
    const long = await serve()
    await long.send("listener", Array.from({ length: 5000 }, () => "x"))
    const history = long.start(["chatter", "history"])
    await history.prints("}\n")
    history.closeOutput()
    const { code, stderr } = await history.ended
    assert.deepStrictEqual([code, stderr], [0, ""])
  })

  it.concurrent("help is printed on every level of commands", async () => {
    const root = await runToEnd("cli", ["--help"], { fromSource: true })
    const chatter = await runToEnd("cli", ["chatter", "--help"])
    const login = await runToEnd("cli", ["chatter", "login", "--help"])
    const history = await runToEnd("cli", ["chatter", "history", "--help"])
    for (const { code, stderr, stdout } of [root, chatter, login, history]) {
      for (const flag of ["--url URL", "--host", "--timeout SECONDS", "--verbose, -v", "--binding"]) {
        assert.include(stdout, flag)
      }
      assert.deepStrictEqual([code, stderr], [0, ""])
    }
    for (const command of ["login", "echoer", "listener", "summary", "subscribe", "history"]) {
      assert.match(chatter.stdout, new RegExp(`^  ${command} +\\w`, "m"))
    }
    for (const flag of ["--user", "--password"]) assert.include(login.stdout, flag)
    for (const flag of ["$JWT_TOKEN", "choices: default, tiny"]) assert.include(history.stdout, flag)
  })

  it.concurrent("mistakes on the command line are reported, with a hint to the help", async () => {
    const mistakes: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
      [
        ["chatter", "history", "--token", "x", "--view", "bogus"],
        "--view: \"bogus\". Expected: \"default\" | \"tiny\""
      ],
      [["chatter", "history"], "Missing required flag: --token"],
      [["--url", "ftp://127.0.0.1", "chatter", "history", "--token", "x"], "invalid scheme: \"ftp\""]
    ]
    for (const [args, message] of mistakes) {
      const { code, stderr, stdout } = await runToEnd("cli", args)
      assert.include(stderr, message)
      assert.match(stderr, /\nrun 'chatter-cli chatter history --help' for detailed usage\.\n$/)
      assert.deepStrictEqual([code, stdout], [1, ""])
    }
  })
})
