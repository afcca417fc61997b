/**
 * Switches off the telemetry of ONNX Runtime, which would write a device id and events below the user's home, leave logs in the temporary folder,
 * and look up a collector's address. Imported before the library, which reads the variable while it is loaded; only the value 1 counts.
 *
 * In a worker thread this reaches the library only where the thread shares the environment of its process (`SHARE_ENV`): else
 * `process.env` is a copy.
 */
process.env['ORT_DISABLE_TELEMETRY'] = '1';
