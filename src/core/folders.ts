/**
 * Folders as sessions name them. OpenCode writes Windows paths with slashes since 1.17; what it wrote before keeps its backslashes,
 * so one folder may stand on one disk in two spellings.
 */

/** The one spelling of a folder that others are compared with: slashes in Windows paths, none at the end, well-formed. Case is left alone. */
export function folderName(path: string): string {
  const slashed = isWindowsPath(path) ? path.replaceAll('\\', '/') : path
  let end = slashed.length
  while (end > 1 && slashed[end - 1] === '/') end--
  return slashed.slice(0, end).toWellFormed()
}

/** True for the folder itself and what is below it: `/a` holds `/a/b`, not `/ab`. An unknown directory, '', is in no folder. */
export function isWithinFolder(directory: string, folder: string): boolean {
  const inner = folderName(directory)
  const outer = folderName(folder)
  return inner === outer || (outer !== '' && inner.startsWith(outer === '/' ? outer : `${outer}/`))
}

/** Begins with a drive letter or names a share; elsewhere a backslash is a letter of a name like any other. */
export function isWindowsPath(path: string): boolean {
  return /^(?:[A-Za-z]:(?:[\\/]|$)|[\\/]{2}[^\\/])/.test(path)
}
