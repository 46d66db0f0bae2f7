{
  "targets": [
    {
      "target_name": "pkcs11_pool",
      "sources": [
        "native/addon.cc",
        "native/channel.cc",
        "native/crypto.cc",
        "native/executor.cc",
        "native/module.cc",
        "native/operations.cc",
        "native/pin.cc",
        "native/pin-object.cc",
        "native/process-exit.cc",
        "native/read-arguments.cc",
        "native/result-values.cc",
        "native/watcher.cc",
        "native/worker.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NAPI_VERSION=9",
        "NODE_ADDON_API_DISABLE_DEPRECATED",
        "NODE_ADDON_API_CPP_EXCEPTIONS",
        # a worker that is terminated cannot throw any more: what would be thrown is dropped, where node-addon-api aborts by default
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ],
      "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=c++17", "-fexceptions", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-O2"],
      "ldflags": ["-Wl,-z,nodelete", "-Wl,-z,now"],
      "xcode_settings": {
        "GCC_ENABLE_CPP_EXCEPTIONS": "YES",
        "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
        "MACOSX_DEPLOYMENT_TARGET": "13.0"
      }
    }
  ]
}
