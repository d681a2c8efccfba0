#version 450
// C = A x B, row after row. Each group of TILE x TILE invocations computes one tile of C: it walks along the tiles of A and B
// that belong to it, and keeps them in shared memory, so that each value is fetched once for TILE uses.
#define TILE 16

layout(local_size_x = TILE, local_size_y = TILE) in;
layout(set = 0, binding = 0) readonly buffer A { float a[]; };
layout(set = 0, binding = 1) readonly buffer B { float b[]; };
layout(set = 0, binding = 2) writeonly buffer C { float c[]; };
layout(push_constant) uniform Shape { int m; int k; int n; };

shared float tile_a[TILE][TILE];
shared float tile_b[TILE][TILE];

void main() {
    const int x = int(gl_LocalInvocationID.x);
    const int y = int(gl_LocalInvocationID.y);
    const int column = int(gl_GlobalInvocationID.x);
    const int row = int(gl_GlobalInvocationID.y);

    float sum = 0;
    for (int begin = 0; begin < k; begin += TILE) {
        // What lies outside the matrices counts as 0. All of a group meet at the barriers, also those outside C.
        tile_a[y][x] = row < m && begin + x < k ? a[row * k + begin + x] : 0;
        tile_b[y][x] = begin + y < k && column < n ? b[(begin + y) * n + column] : 0;
        barrier();
        for (int i = 0; i < TILE; i++) {
            sum += tile_a[y][i] * tile_b[i][x];
        }
        barrier();
    }
    if (row < m && column < n) {
        c[row * n + column] = sum;
    }
}
