/** Model files: what is in them, judged without trusting a single length, and files of the same form made to measure. */
module dev.headroom.memory.model {
    requires transitive dev.headroom.memory;
    requires static org.jspecify;
    requires tools.jackson.core;

    exports dev.headroom.memory.model;
    exports dev.headroom.memory.model.calibration;
    exports dev.headroom.memory.model.placement;
    exports dev.headroom.memory.model.workspace;
}
