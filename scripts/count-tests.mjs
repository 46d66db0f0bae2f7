// Prints "PASSED FAILED" for a report of vitest and the status vitest ended with. A file that could not be run counts as one failed
// test, and so does a run that failed without naming one.
import { readFileSync } from 'node:fs'

const [file, status] = process.argv.slice(2)

function count() {
  let report
  try {
    report = JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    return { passed: 0, failed: 1 }
  }
  const broken = report.testResults.filter(({ status: outcome, assertionResults }) => {
    return outcome === 'failed' && !assertionResults.some((each) => each.status === 'failed')
  })
  const failed = report.numFailedTests + broken.length
  return { passed: report.numPassedTests, failed: failed === 0 && status !== '0' ? 1 : failed }
}

const { passed, failed } = count()
console.log(`${passed} ${failed}`)
