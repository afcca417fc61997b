/** Ends every test run with its counts in one plain line, `N passed, N failed`, for programs that read the output. */
import type { Reporter, TestModule } from 'vitest/node';

export default class ClosingLine implements Reporter {
  onTestRunEnd(testModules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0, pending: 0 };
    for (const testModule of testModules) {
      // A file that could not even be loaded has no tests to count, and is a failure all the same.
      if (testModule.errors().length > 0) counts.failed++;
      // A suite whose preparation failed runs none of its tests: they count as skipped, and the suite as failed.
      for (const suite of testModule.children.allSuites()) if (suite.errors().length > 0) counts.failed++;
      for (const test of testModule.children.allTests()) counts[test.result().state]++;
    }
    if (counts.skipped > 0)
      process.stdout.write(`\n${counts.skipped} skipped (not possible on this system or for this user)\n`);
    process.stdout.write(`\n${counts.passed} passed, ${counts.failed + counts.pending} failed\n`);
  }
}
