// Loads the addon in a child process or worker, where TypeScript sources cannot be imported. The paths come from the
// test, by environment variable.
class TorchSearchError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

const { loader, addon, libraries } = JSON.parse(process.env.TORCHSEARCH_TEST_ADDON);
for (const library of libraries) require(loader).openLibrary(library);
const native = require(addon);
native.init({ TorchSearchError });

module.exports = { native, TorchSearchError };
