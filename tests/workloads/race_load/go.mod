module memwhy/workloads/race_load

go 1.19
