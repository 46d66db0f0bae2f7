{
  "targets": [
    {
      # no addon: a PKCS#11 module that any program can load, which only uses npm's way of building
      "target_name": "pkcs11-chaos",
      "type": "loadable_module",
      # as a condition, because node-gyp says `node` in one
      "target_conditions": [["_type=='loadable_module'", { "product_extension": "so" }]],
      "sources": [
        "native/call.cc",
        "native/chaos.cc",
        "native/control.cc",
        "native/logins.cc",
        "native/report.cc",
        "native/rule.cc",
        "native/rule-text.cc",
        "native/rules.cc",
        "native/sessions.cc",
        "native/token.cc",
        "native/wrappers.cc"
      ],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++17", "-std=gnu++20"],
      "cflags_cc": ["-std=gnu++17", "-fexceptions", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-O2"],
      "ldflags": [
        "-Wl,--version-script=<(module_root_dir)/native/exports.map",
        # a program may unload it, while threads of this module run
        "-Wl,-z,nodelete",
        "-Wl,-z,now"
      ],
      "libraries": ["-ldl", "-lpthread"]
    }
  ]
}
