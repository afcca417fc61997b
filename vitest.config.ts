import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['./test/compiled-decoder.ts'],
    reporters: ['default', './test/closing-line.ts'],
    // Every worker loads its own ONNX Runtime; two keep two cores busy without fighting over them.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
