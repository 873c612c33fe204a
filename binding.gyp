{
  "targets": [
    {
      "target_name": "torchsearch",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake_js",
          "message": "Building with cmake-js (CMakeLists.txt)",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["build/Release/torchsearch.node"],
          "action": ["node", "scripts/gyp-build.mjs"]
        }
      ]
    }
  ]
}
