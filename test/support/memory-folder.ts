/** Where tests keep their files: in memory where the system has room for them there, which spares half of their system time. */
import { accessSync, chmodSync, constants, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'

const PLACE = '/dev/shm'
const NAME = 'spanleaf-tests-'
const TMPFS = 0x01021994
/** Bytes. Many times what the tests ever hold at once. */
const ROOM = 4 * 2 ** 30

/** A folder in memory, gone when this process ends; undefined when TMPDIR names another place, or there is none. */
export function memoryFolder(): string | undefined {
  if (process.env.TMPDIR !== undefined || !isUsable()) return undefined
  removeLeftovers()
  const folder = mkdtempSync(join(PLACE, `${NAME}${process.pid}-`))
  chmodSync(folder, 0o755) // children that run as another user look in
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Of runs that were killed. */
function removeLeftovers(): void {
  for (const name of readdirSync(PLACE)) {
    const pid = name.startsWith(NAME) ? Number.parseInt(name.slice(NAME.length), 10) : Number.NaN
    if (Number.isNaN(pid) || existsSync(`/proc/${pid}`) || statSync(join(PLACE, name), { throwIfNoEntry: false })?.uid !== process.getuid?.())
      continue
    rmSync(join(PLACE, name), { recursive: true, force: true })
  }
}

/** Some tests load native modules from copies, which a place without execution would refuse. */
function isUsable(): boolean {
  try {
    const { type, bsize, bavail } = statfsSync(PLACE)
    accessSync(PLACE, constants.W_OK)
    return type === TMPFS && bsize * bavail >= ROOM && !/^\S+ \/dev\/shm \S+ \S*\bnoexec\b/m.test(readFileSync('/proc/mounts', 'utf8'))
  } catch {
    return false
  }
}
