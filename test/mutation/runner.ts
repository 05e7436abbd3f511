/**
 * The process that runs mutants, seen from outside: it is ended when it says nothing for too long, and another takes its place
 * when it has become too large, or is no longer as it was.
 */
import { type ChildProcess, fork } from "node:child_process"
import type { Answer, Question } from "./messages.ts"

/** A copy of the sources for each mutant stays in memory. */
const maxMemory = 900
/** How long a test may block the process beyond its own limit. */
const graceMillis = 3000

export class Runner {
  readonly #program: string
  readonly #env: NodeJS.ProcessEnv
  #child: ChildProcess | undefined

  constructor(program: string, env: NodeJS.ProcessEnv) {
    this.#program = program
    this.#env = env
  }

  /** Of the same program, with a process of its own. */
  another(): Runner {
    return new Runner(this.#program, this.#env)
  }

  /** `undefined`: it hung, or it died. */
  async ask(question: Question, limitMillis: number): Promise<Answer | undefined> {
    this.#child ??= fork(this.#program, {
      execArgv: ["--max-old-space-size=1400", "--no-warnings", "--expose-gc"],
      env: { ...process.env, ...this.#env },
      stdio: ["ignore", "ignore", process.env.MUTATION_DEBUG === undefined ? "ignore" : "inherit", "ipc"]
    })
    const child = this.#child
    const answer = await new Promise<Answer | undefined>((resolve) => {
      const start = () => setTimeout(() => resolve(undefined), limitMillis + graceMillis)
      // Loading takes longer than most tests.
      let timer = setTimeout(() => resolve(undefined), 20_000)
      const onMessage = (message: Answer): void => {
        clearTimeout(timer)
        if (message.kind === "test") {
          timer = start()
          return
        }
        child.off("message", onMessage)
        child.off("exit", onExit)
        resolve(message)
      }
      const onExit = (): void => {
        clearTimeout(timer)
        resolve(undefined)
      }
      child.on("message", onMessage)
      child.on("exit", onExit)
      child.send(question)
    })
    if (
      answer === undefined ||
      (answer.kind === "ran" &&
        (answer.doubt !== undefined || answer.outcome === "timeout" || answer.memory > maxMemory))
    ) this.end()
    return answer
  }

  end(): void {
    this.#child?.kill("SIGKILL")
    this.#child = undefined
  }
}
