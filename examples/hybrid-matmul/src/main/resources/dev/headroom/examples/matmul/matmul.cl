// C = A x B, row after row. Each group of TILE x TILE work items computes one tile of C: it walks along the tiles of A and B
// that belong to it, and keeps them in local memory, so that each value is fetched once for TILE uses.
#define TILE 16

kernel __attribute__((reqd_work_group_size(TILE, TILE, 1)))
void matmul(int m, int k, int n, global const float *a, global const float *b, global float *c) {
    local float tile_a[TILE][TILE];
    local float tile_b[TILE][TILE];
    const int x = get_local_id(0);
    const int y = get_local_id(1);
    const int column = get_global_id(0);
    const int row = get_global_id(1);

    float sum = 0;
    for (int begin = 0; begin < k; begin += TILE) {
        // What lies outside the matrices counts as 0. All items of a group meet at the barriers, also those outside C.
        tile_a[y][x] = row < m && begin + x < k ? a[(size_t) row * k + begin + x] : 0;
        tile_b[y][x] = begin + y < k && column < n ? b[(size_t) (begin + y) * n + column] : 0;
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int i = 0; i < TILE; i++) {
            sum += tile_a[y][i] * tile_b[i][x];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (row < m && column < n) {
        c[(size_t) row * n + column] = sum;
    }
}
