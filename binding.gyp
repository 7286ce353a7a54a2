{
  # A door for those who come with node-gyp: nothing is built here, CMakeLists.txt is.
  'targets': [
    {
      'target_name': 'strata',
      'type': 'none',
      'actions': [
        {
          'action_name': 'cmake',
          'inputs': ['CMakeLists.txt'],
          'outputs': ['build/Release/strata.node'],
          'action': ['bash', 'scripts/native.sh']
        }
      ]
    }
  ]
}
