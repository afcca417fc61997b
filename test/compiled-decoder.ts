/** Processes that decode apart run the compiled program also where a test runs its source: Node runs no TypeScript before version 22. */
import { vi } from 'vitest';

vi.mock('../src/images/apart/entry.ts', () => ({
  ENTRY: new URL('../dist/images/apart/process.js', import.meta.url),
}));
