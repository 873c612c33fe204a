/** Ending together with the process that has started this one: no rank goes on without its launcher or agent. */

/** How long a process whose starter has ended may take to end by itself. */
const LAST_MS = 3_000;
/** How often it is asked whether torchrun's agent lives. */
const ASK_MS = 500;

/** Ends this process when `torchsearch launch`, or torchrun's agent, has ended; others may end before it. */
export function endWithStarter(): void {
  if (process.channel !== undefined && process.channel !== null) {
    process.channel.unref();
    process.on("disconnect", end);
  } else if (process.env.TORCHELASTIC_RUN_ID !== undefined) {
    const agent = process.ppid;
    // Whose parent has ended gets another one.
    const timer = setInterval(() => {
      if (process.ppid === agent) return;
      clearInterval(timer);
      end();
    }, ASK_MS);
    timer.unref();
  }
}

function end(): void {
  setTimeout(() => process.exit(1), LAST_MS).unref();
  process.kill(process.pid, "SIGTERM");
}
