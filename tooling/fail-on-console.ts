// A test that prints is a test that fails: what it means to say belongs in an assertion.
// A test of printing code replaces the method itself, with vi.spyOn(console, 'log').
for (const method of ['debug', 'error', 'info', 'log', 'warn'] as const) {
  console[method] = (...words: unknown[]) => {
    throw new Error(`console.${method} called in a test: ${words.map(String).join(' ')}`);
  };
}
