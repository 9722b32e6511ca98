/** Who holds a lease, and whether that process is provably gone. What cannot be read proves nothing: then leases end by expiry. */
import { readFileSync, readlinkSync } from 'node:fs'

export interface Owner {
  readonly pid: number
  /** Names the boot of the machine; monotonic times of another boot mean nothing. */
  readonly boot?: string | undefined
  /** Clock ticks from boot to the start of the process: tells a process from a later one with its pid. */
  readonly start?: string | undefined
  /** Pids are comparable inside one pid namespace only. */
  readonly namespace?: string | undefined
}

export interface OwnerProbe {
  self(): Owner
  /** True only with proof. */
  isGone(owner: Owner): boolean
}

/** Reads identities from a Linux /proc. */
export function procOwners(pid: number = process.pid, root = '/proc'): OwnerProbe {
  let self: Owner | undefined
  const whoAmI = (): Owner => {
    self ??= { pid, boot: readText(`${root}/sys/kernel/random/boot_id`), start: startOf(root, pid), namespace: readLink(`${root}/self/ns/pid`) }
    return self
  }
  return {
    self: whoAmI,
    isGone(owner) {
      const me = whoAmI()
      if (me.boot === undefined || owner.boot === undefined) return false
      if (me.boot !== owner.boot) return true
      if (me.namespace === undefined || me.namespace !== owner.namespace || owner.start === undefined) return false
      // My own entry must be readable, or a hidden /proc would look like a world of dead processes.
      if (startOf(root, pid) === undefined) return false
      return startOf(root, owner.pid) !== owner.start
    },
  }
}

/** Field 22 of /proc/PID/stat. Undefined when the process does not exist or is dead and only waits to be reaped. */
function startOf(root: string, pid: number): string | undefined {
  const stat = readText(`${root}/${pid}/stat`)
  // The name, field 2, is in parentheses and may hold anything, a parenthesis too.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields?.[0]
  return state === undefined || state === 'Z' || state === 'X' ? undefined : fields?.[19]
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}
