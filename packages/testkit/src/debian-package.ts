import { spawnSync } from 'node:child_process'

/** The upstream version of an installed Debian package, such as `2.6.1`; undefined on machines that have no such package. */
export function debianVersion(name: string): string | undefined {
  const { stdout, status } = spawnSync('dpkg-query', ['--show', '--showformat=${Version}', name], { encoding: 'utf8' })
  // epoch and revision are Debian's own
  return status === 0 ? stdout.replace(/^\d+:/, '').replace(/[-+].*$/, '') : undefined
}
