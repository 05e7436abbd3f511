/**
 * Starts a browser without a window, with a profile of its own, at a page.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { plainHost } from "./hub.ts"

export interface Browser {
  readonly name: string
  readonly command: string
  readonly argumentsFor: (profile: string, url: string) => ReadonlyArray<string>
}

/**
 * It says nothing to anybody but the hub, shows no page but the test's, which may open tabs, and finds the hub under another
 * name.
 */
const firefoxSettings: Record<string, string | number | boolean> = {
  "network.dns.localDomains": plainHost,
  "dom.disable_open_during_load": false,
  "dom.security.https_first": false,
  "app.normandy.enabled": false,
  "app.update.enabled": false,
  "browser.aboutwelcome.enabled": false,
  "browser.safebrowsing.downloads.enabled": false,
  "browser.safebrowsing.malware.enabled": false,
  "browser.safebrowsing.phishing.enabled": false,
  "browser.startup.homepage_override.mstone": "ignore",
  "datareporting.policy.dataSubmissionEnabled": false,
  "extensions.update.enabled": false,
  "media.gmp-manager.updateEnabled": false,
  "network.captive-portal-service.enabled": false,
  "network.connectivity-service.enabled": false,
  "services.settings.server": "data:,"
}

const prepareFirefox = (profile: string): void =>
  fs.writeFileSync(
    path.join(profile, "user.js"),
    Object.entries(firefoxSettings).map(([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});`).join("\n")
  )

export const browsers: ReadonlyArray<Browser> = [
  {
    name: "Firefox",
    command: "firefox-esr",
    argumentsFor(profile, url) {
      prepareFirefox(profile)
      return ["--headless", "--no-remote", "--profile", profile, url]
    }
  },
  {
    name: "Chromium",
    command: "chromium",
    argumentsFor: (profile, url) => [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--disable-popup-blocking",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      `--host-resolver-rules=MAP ${plainHost} 127.0.0.1`,
      `--user-data-dir=${profile}`,
      url
    ]
  }
]

/** `undefined` where it is missing. */
export const versionOf = ({ command }: Browser): string | undefined => {
  try {
    return execFileSync(command, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim()
  } catch {
    return undefined
  }
}

/** The line that installs it on Debian. */
export const installation = ({ command }: Browser): string =>
  `apt-get update && apt-get install -y --no-install-recommends ${command}`

/** Its other processes are of its group, and would write into the profile for a moment. */
const kill = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    process.kill(-child.pid!, "SIGKILL")
  })

/** Runs until the scope closes. */
export const open = (browser: Browser, url: string, stderr: "ignore" | "pipe" = "ignore", more: Array<string> = []) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const profile = fs.mkdtempSync(path.join(os.tmpdir(), "browser-"))
      const child = spawn(browser.command, [...more, ...browser.argumentsFor(profile, url)], {
        env: { ...process.env, HOME: profile, TMPDIR: profile },
        stdio: ["ignore", "ignore", stderr],
        detached: true
      })
      return { child, profile }
    }),
    ({ child, profile }) =>
      Effect.promise(async () => {
        await kill(child)
        await fs.promises.rm(profile, { recursive: true, force: true, maxRetries: 20 })
      })
  )

/** The same, with a port for remote control; gives its address. */
export const openRemote = (browser: Browser) =>
  Effect.flatMap(
    open(browser, "about:blank", "pipe", ["--remote-debugging-port=0"]),
    ({ child }) =>
      Effect.promise(() =>
        new Promise<string>((resolve, reject) => {
          let text = ""
          child.stderr!.setEncoding("utf8").on("data", (part: string) => {
            text += part
            const address = /(?:DevTools|WebDriver BiDi) listening on (ws:\S+)/.exec(text)?.[1]
            if (address === undefined) return
            // What it says from now on is dropped.
            text = ""
            resolve(address)
          })
          child.once("exit", () => reject(new Error(`${browser.command} has ended: ${text}`)))
        })
      )
  )
